"""Whether an erasure can be done as the entities' files say it, and spoils nothing: what a file alone cannot show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hybrid_sync.catalog.models import Entity

Problem = tuple[str, tuple[object, ...], str]
"""Entity, path in its file, and a sentence."""


def problems(entities: Mapping[str, Entity]) -> Iterator[Problem]:
    """What an erasure could not do, or would spoil, as far as the catalog shows."""
    for name, entity in sorted(entities.items()):
        yield from _of_one(entities, name, entity)
        for column, parents in _references(entity).items():
            for parent in sorted(parents & entities.keys()):
                yield from _reference(entities, name, column, parent)


def _of_one(entities: Mapping[str, Entity], name: str, entity: Entity) -> Iterator[Problem]:
    erasure = entity.erasure
    if erasure is None:
        return
    if entity.money and erasure.policy == "delete":
        text = "its money stands in the books: write `policy: pseudonymise` with the columns that are personal."
        yield name, ("erasure", "policy"), text
    source = next(iter(entity.sources.values()))
    money = {c for m in entity.money for c in (m.column, m.currency, m.status)}
    fixed = {"id", *source.key, *source.discriminator, *source.references, *money}
    for column in erasure.set:
        if column in fixed:
            text = f"{column} says which row this is, refers to another or is money: only other columns can be changed."
            yield name, ("erasure", "set", column), text
    for word in ("of", "same"):
        for column in getattr(erasure, word):
            if column not in source.references:
                text = f"{column} is not among the references: write one of {', '.join(source.references) or 'none'}."
                yield name, ("erasure", word), text
            elif word == "same" and any(
                p in entities and entities[p].erasure is None for p in _references(entity)[column]
            ):
                text = f"{column} leads to rows of which nobody said how they are erased: write `erasure:` there, too."
                yield name, ("erasure", word), text


def _reference(entities: Mapping[str, Entity], name: str, column: str, parent: str) -> Iterator[Problem]:
    """Who refers to rows that can be erased has to say what that means."""
    there, own = entities[parent].erasure, entities[name].erasure
    if there is None or there.policy == "keep":
        return
    if own is None:
        text = (
            f"{column} refers to {parent}, whose rows can be erased: write `erasure:` with `policy:` and, where such a"
            f" row is about the person, `of: [{column}]`."
        )
        yield name, (), text
    elif there.policy == "delete" and (column not in own.leads or own.policy == "keep"):
        text = (
            f"erasing {parent} deletes its rows, and {column} refers to them: list it under `of` with the policy"
            f" `delete` or `pseudonymise` here, or pseudonymise {parent}."
        )
        yield name, ("erasure",), text
    elif there.policy == "delete" and own.policy == "pseudonymise":
        text = f"erasing {parent} deletes what {column} refers to: write `policy: delete`, or pseudonymise {parent}."
        yield name, ("erasure", "policy"), text


def _references(entity: Entity) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for source in entity.sources.values():
        for column, reference in source.references.items():
            found.setdefault(column, set()).update(p.to for p in reference.parents)
    return found

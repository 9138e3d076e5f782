"""What becomes of a person's rows when the person is erased, as an entity's file says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from hybrid_sync.catalog.grammar import Identifier, Strict, Whole, Word

if TYPE_CHECKING:
    from hybrid_sync.catalog.models import Entity

KEY = "{key}"
"""In a pseudonym: the row's legacy key, where a constant would not be unique."""


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Columns = Annotated[tuple[Identifier, ...], BeforeValidator(_listed)]


class Erasure(Strict):
    """`delete` the rows, `pseudonymise` them (set columns, go on syncing the others), or `keep` them as they are.

    A row is about a person who is erased when a reference in `of` or `same` leads to a row of that person.
    """

    policy: Literal["delete", "pseudonymise", "keep"]
    set: dict[Identifier, Word | None] = Field(default_factory=dict)
    """For `pseudonymise`: target column -> NULL or a text, in which {key} stands for the legacy key."""
    of: Columns = ()
    """References to the person's rows: a message of a patient's case."""
    same: Columns = ()
    """References to another row of the same person, which is erased together with this one, whichever is named."""
    events_a_day: Annotated[Whole, Field(ge=0, le=10_000)] = 0
    """How many such rows events and programs may have erased, or merged, within a day; without it only an admin may."""

    @model_validator(mode="after")
    def _sets(self) -> Erasure:
        if (self.policy == "pseudonymise") != bool(self.set):
            raise ValueError(
                "`policy: pseudonymise` needs `set` with the columns to change, such as `set: {email: null}`; the other"
                " policies must not have it"
            )
        return self

    @property
    def leads(self) -> tuple[str, ...]:
        """References by which a row belongs to somebody."""
        return (*self.of, *self.same)


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

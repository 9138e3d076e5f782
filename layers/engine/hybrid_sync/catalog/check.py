"""What one entity file cannot know of the others: references that lead nowhere, cycles, deletes that children prevent.

Also what the parts of one file must know of each other: money and deletes name columns that are written elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hybrid_sync.catalog.claims import shared
from hybrid_sync.catalog.erasable import problems
from hybrid_sync.catalog.models import Entity, Parent, Source
from hybrid_sync.catalog.waves import cycle
from hybrid_sync.dataclass import dataclass


@dataclass(frozen=True)
class Mistake:
    """A sentence about one place of one entity's file."""

    entity: str
    path: tuple[object, ...]
    text: str


def mistakes(entities: Mapping[str, Entity]) -> list[Mistake]:
    """Every mistake between entities, in the order of their names; empty when the catalog is sound."""
    found: list[Mistake] = []
    for name, entity in sorted(entities.items()):
        found += _money(name, entity)
        found += _deletes(entities, name, entity)
        for source_name, source in entity.sources.items():
            found += _references(entities, name, source_name, source)
    found += [Mistake(*problem) for problem in (*problems(entities), *shared(entities))]
    if not found and (path := cycle(entities)) is not None:
        # The edge that closes the cycle is where the author has to act.
        text = (
            f"the references {' → '.join(path)} form a cycle: mark one nullable reference on it with `deferred: true`."
        )
        source_name, column = _edge(entities[path[0]], path[1])
        found.append(Mistake(path[0], ("sources", source_name, "references", column), text))
    return found


def _edge(entity: Entity, parent: str) -> tuple[str, str]:
    for source_name, source in entity.sources.items():
        for column, reference in source.references.items():
            if not reference.deferred and any(p.to == parent for p in reference.parents):
                return source_name, column
    raise KeyError(parent)


def _references(entities: Mapping[str, Entity], name: str, source_name: str, source: Source) -> Iterator[Mistake]:
    for column, reference in source.references.items():
        path = ("sources", source_name, "references", column)
        for parent in reference.parents:
            if (text := _parent_problem(entities, parent)) is not None:
                yield Mistake(name, path, f"{column}: {text}")


def _parent_problem(entities: Mapping[str, Entity], parent: Parent) -> str | None:
    entity = entities.get(parent.to)
    if entity is None:
        return f"there is no entity {parent.to}: write one of {', '.join(sorted(entities))}."
    if parent.source is None and len(entity.sources) > 1:
        return f"{parent.to} has several sources: add `source:` with one of {', '.join(entity.sources)}."
    if parent.source is not None and parent.source not in entity.sources:
        return f"{parent.to} has no source {parent.source}: write one of {', '.join(entity.sources)}."
    source = entity.sources[parent.source] if parent.source else next(iter(entity.sources.values()))
    if len(source.key) != 1:
        return (
            f"{parent.to} has a composite key, and a reference has one integer: make one of the parts, on both sides,"
            " as in `p.shop_no::bigint * 1000000 + p.product_no`."
        )
    return None


def _deletes(entities: Mapping[str, Entity], name: str, entity: Entity) -> Iterator[Mistake]:
    source = next(iter(entity.sources.values()))
    for column in entity.on_delete.set:
        if column == "id" or column in source.key or column in source.discriminator:
            text = f"{column} says which row this is: set another column, such as deleted_at."
            yield Mistake(name, ("on_delete", "set", column), text)
    if entity.on_delete.policy != "hard":
        return
    softer = _softer(entities, name)
    for child_name in [child for child, parent in softer.items() if parent == name]:
        # A child that stays keeps its parent, for ever; and to go, it needs its own children to go as well.
        behind = [child for child in softer if _leads_to(softer, child, child_name)]
        column = _referring(entities[child_name], name)[0]
        text = (
            f"policy hard is harder than {entities[child_name].on_delete.policy}, the policy of {child_name}, whose"
            f" {column} refers to it: write `soft` here, or `hard` in {', '.join(behind)}."
        )
        yield Mistake(name, ("on_delete", "policy"), text)


def _softer(entities: Mapping[str, Entity], name: str) -> dict[str, str]:
    """Everything that refers to the entity, directly or not, and is not `hard`; with the parent that leads there."""
    found: dict[str, str] = {}
    waiting = [name]
    while waiting:
        parent = waiting.pop(0)
        for child_name, child in sorted(entities.items()):
            new = child_name != name and child_name not in found and child.on_delete.policy != "hard"
            if new and _referring(child, parent):
                found[child_name] = parent
                waiting.append(child_name)
    return found


def _leads_to(parents: Mapping[str, str], child: str, ancestor: str) -> bool:
    while child != ancestor and child in parents:
        child = parents[child]
    return child == ancestor


def _referring(child: Entity, parent: str) -> list[str]:
    columns = {
        column
        for source in child.sources.values()
        for column, reference in source.references.items()
        if any(p.to == parent for p in reference.parents)
    }
    return sorted(columns)


def _money(name: str, entity: Entity) -> Iterator[Mistake]:
    source = next(iter(entity.sources.values()))
    for i, money in enumerate(entity.money):
        for role in ("column", "currency", "status"):
            column = getattr(money, role)
            if column is not None and column not in source.columns:
                text = f"money {role} {column} is not among the columns: add it there or correct the name."
                yield Mistake(name, ("money", i, role), text)

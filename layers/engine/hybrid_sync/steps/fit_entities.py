"""Fit entities: the part of planning that finds which entities fit their databases, and what the others cost.

A table that does not fit, or that somebody keeps locked, costs its entity and those whose rows refer to it; everything
else is carried.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.waves import needed
from hybrid_sync.errors import Locked, MissingPrivilege, ParentFailed, StructureMismatch, SyncError
from hybrid_sync.postgres import Connection
from hybrid_sync.schema.plans import compile_together, plan_for
from hybrid_sync.world import World

OF_THE_ENTITY = (StructureMismatch, MissingPrivilege)
"""What cannot be healed by waiting, and has its cause in one entity's tables."""
LASTING = frozenset({StructureMismatch.code, MissingPrivilege.code, ParentFailed.code})
"""Codes of a failed entity whose children wait for it."""


def unfit(
    world: World, run_id: str, names: Iterable[str], legacy: Connection, target: Connection
) -> dict[str, SyncError]:
    """The entities that cannot be carried, each with its reason; `names` in the order of the waves.

    Raises only what is about a database as a whole, such as LegacyUnavailable.
    """
    found: dict[str, SyncError] = {}
    names = list(names)
    compile_together(run_id, names, world.catalog, legacy, target)
    for name in names:
        try:
            require_parents(world.catalog, name, found)
            plan_for(run_id, name, world.catalog, legacy, target)
        except (*OF_THE_ENTITY, ParentFailed, Locked) as error:
            found[name] = error
    return found


def require_parents(catalog: Catalog, name: str, failed: Mapping[str, object]) -> None:
    """ParentFailed when the entity's rows refer to an entity among `failed`; deferred references can wait."""
    parents = sorted(needed(catalog[name]) & failed.keys() - {name})
    if parents:
        raise ParentFailed(
            f"Entity {name} ({catalog.file_of(name)}) refers to {', '.join(parents)}, which this run cannot carry.",
            f"Correct what is reported of {parents[0]}; the run after that carries both.",
        )


def with_ancestors(catalog: Catalog, names: Iterable[str]) -> list[str]:
    """These entities and all that they refer to, deferred references included, in the order of the waves."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            sources = catalog[name].sources.values()
            waiting += [p.to for source in sources for r in source.references.values() for p in r.parents]
    return [name for wave in catalog.waves(seen) for name in wave]

"""The order of entities: a wave holds those whose references all lie in earlier waves."""

from __future__ import annotations

from collections.abc import Mapping, Set

from hybrid_sync.catalog.models import Entity, Priority

_URGENCY = list(Priority)


def needed(entity: Entity) -> set[str]:
    """The entities that must be written before this one: its references that are not deferred."""
    return {
        parent.to
        for source in entity.sources.values()
        for reference in source.references.values()
        if not reference.deferred
        for parent in reference.parents
    }


def waves(entities: Mapping[str, Entity], selected: Set[str] | None = None) -> list[list[str]]:
    """The selected entities (all by default) in waves, in each the more urgent ones first, then by name.

    References outside the selection do not order anything.  The catalog's check has excluded cycles.
    """
    chosen = set(entities) if selected is None else set(selected)
    waiting = {name: needed(entities[name]) & chosen for name in chosen}
    ordered: list[list[str]] = []
    while waiting:
        ready = (name for name, parents in waiting.items() if not parents & waiting.keys())
        wave = sorted(ready, key=lambda name: (_URGENCY.index(entities[name].priority), name))
        if not wave:
            raise ValueError("the catalog has a cycle of references")
        ordered.append(wave)
        for name in wave:
            del waiting[name]
    return ordered


def cycle(entities: Mapping[str, Entity]) -> list[str] | None:
    """A path of references that are not deferred and lead back to their start, or None."""
    done: set[str] = set()
    path: list[str] = []

    def visit(name: str) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done or name not in entities:
            return None
        path.append(name)
        for parent in sorted(needed(entities[name])):
            if (found := visit(parent)) is not None:
                return found
        path.pop()
        done.add(name)
        return None

    for name in sorted(entities):
        if (found := visit(name)) is not None:
            return found
    return None

"""The order of entities: a wave holds those whose references all lie in earlier waves.

Narrow waves are carried as one: each of its strands goes its own pace, an entity at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import pairwise
from types import MappingProxyType

from hybrid_sync.catalog.models import Entity, Priority

_URGENCY = list(Priority)
_UNKNOWN: Mapping[str, int] = MappingProxyType({})
_LONGEST = 20
"""Entities of a strand, at most: a message carries them one within the other."""


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


def strands(
    entities: Mapping[str, Entity], waves: Sequence[Sequence[str]], sizes: Mapping[str, int] = _UNKNOWN,
    fixed: Set[str] = frozenset(),
) -> list[list[list[str]]]:  # fmt: skip
    """The waves' order with fewer waits: waves of strands, the entities of each strand one after the other.

    A wave continues the strands of the one before where each of its entities is tied to one of them alone, and none to
    the same: then nobody waits for an entity that nothing ties to it.  Nothing is lost, because no two entities of a
    strand could have gone side by side.  Of entities whose `sizes` are known, those on which nobody waits, but the
    `fixed` ones, go beside a later strand that is longer than all others of its wave.  The more urgent strands first,
    then the longer ones, of these the larger.
    """
    ordered: list[list[list[str]]] = []
    for wave in waves:
        continued = _continued(entities, ordered[-1], wave) if ordered else None
        if continued is None:
            ordered.append([[name] for name in wave])
        else:
            ordered[-1] = continued
    for n in range(len(ordered) - 1, 0, -1):
        _fill(entities, ordered, n, sizes, fixed)

    def rank(strand: Sequence[str]) -> tuple[int, int, int]:
        # Not the largest first: its batches go side by side anyway, and those of a long strand do not.
        urgency = min(_URGENCY.index(entities[name].priority) for name in strand)
        return urgency, -len(strand), -_size(strand, sizes)

    return [sorted(found, key=rank) for found in ordered if found]


def costliest_first(entities: Mapping[str, Entity], names: Iterable[str], pages: Mapping[str, int]) -> list[str]:
    """By what their verification takes, about: each money column is computed of every row of both sides."""
    return sorted(names, key=lambda name: -pages.get(name, 0) * (1 + len(entities[name].money)))


def endings(
    entities: Mapping[str, Entity], waves: Sequence[Sequence[Sequence[str]]], in_bulk: Set[str]
) -> list[list[str]]:
    """For each wave of strands, the entities whose first load ends beside it: those that the wave before has carried,
    at the end of their strands, and that nothing ties to an entity of this one.

    The indexes of a large table are made, and its foreign keys proven, while the next wave is at work.
    """
    found: list[list[str]] = [[] for _ in waves]
    for n, (before, wave) in enumerate(pairwise(waves), start=1):
        following = [name for strand in wave for name in strand]
        for last in (strand[-1] for strand in before):
            if last in in_bulk and not any(_tied(entities, last, name) for name in following):
                found[n].append(last)
    return found


def _continued(
    entities: Mapping[str, Entity], strands: Sequence[Sequence[str]], wave: Sequence[str]
) -> list[list[str]] | None:
    """The strands with the entities of the next wave at their ends; None where that is no place for each of them."""
    ends: dict[int, str] = {}
    for name in wave:
        tied = [n for n, strand in enumerate(strands) if any(_tied(entities, name, other) for other in strand)]
        if len(tied) != 1 or tied[0] in ends or len(strands[tied[0]]) == _LONGEST:
            return None
        ends[tied[0]] = name
    return [[*strand, *([ends[n]] if n in ends else [])] for n, strand in enumerate(strands)]


def _fill(
    entities: Mapping[str, Entity], ordered: Sequence[list[list[str]]], n: int, sizes: Mapping[str, int],
    fixed: Set[str],
) -> None:  # fmt: skip
    """Move entities from earlier waves beside the longest strand of wave `n`, as long as they do not outlast it."""
    lengths = [_size(strand, sizes) for strand in ordered[n]]
    room = 2 * max(lengths, default=0) - sum(lengths)
    alone = [(strand[0], at) for at in range(n) for strand in ordered[at] if len(strand) == 1]
    for name, at in sorted(alone, key=lambda one: -sizes.get(one[0], 0)):
        later = [other for wave in ordered[at + 1 : n + 1] for strand in wave for other in strand]
        waited_for = any(_tied(entities, name, other) for other in later)
        usual = entities[name].priority not in (Priority.critical, Priority.high)
        if 0 < sizes.get(name, 0) <= room and usual and name not in fixed and not waited_for:
            ordered[at].remove([name])
            ordered[n].append([name])
            room -= sizes[name]


def _size(strand: Sequence[str], sizes: Mapping[str, int]) -> int:
    return sum(sizes.get(name, 0) for name in strand)


def _tied(entities: Mapping[str, Entity], one: str, other: str) -> bool:
    """Whether one refers to the other, deferred or not: making a foreign key again locks both tables."""
    return other in _referred(entities[one]) or one in _referred(entities[other])


def _referred(entity: Entity) -> set[str]:
    sources = entity.sources.values()
    return {parent.to for source in sources for r in source.references.values() for parent in r.parents}


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

"""Names of then and of now: where the rows stand that a run wrote under names which the catalog has changed since.

The journal keeps the names of its time.  What they meant is recorded (`runs.called`): by what a place read in legacy
when the run began, the place of now is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import LiteralString

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import Place
from hybrid_sync.postgres import Connection
from hybrid_sync.runs.called import Known, present

NamesNow = Mapping[Place, Place]
"""Of then: of now.  Itself where nothing else is known, though the catalog may not have it any more."""

# When the run began a name meant what it did until it was given to other rows the first time after.
MEANT: LiteralString = """
(select p.entity, p.source, coalesce(b.reads, p.reads) as reads, coalesce(b.target, p.target) as target
 from hybrid_sync.place p left join lateral (
   select b.reads, b.target from hybrid_sync.place_before b
   where b.entity = p.entity and b.source = p.source and b.until > r.started_at order by b.until limit 1) b on true)
"""
_MEANT: LiteralString = f"""
select m.entity, m.source, m.reads, m.target from hybrid_sync.run r cross join lateral {MEANT} m where r.run_id = %s
"""
_ALIKE: LiteralString = """
select entity from hybrid_sync.place where reads = any(%(reads)s)
union select entity from hybrid_sync.place_before where reads = any(%(reads)s)
"""


def names_now(connection: Connection, catalog: Catalog, run_id: str, written: Iterable[Place]) -> NamesNow:
    """Where the rows are that the run wrote under these names."""
    rows = connection.execute(_MEANT, (run_id,)).fetchall()
    meant = {(entity, source): Known(reads, target) for entity, source, reads, target in rows}
    now = present(catalog)
    return {place: now_called(place, meant.get(place), now) for place in written}


def now_called(place: Place, was: Known | None, now: Mapping[Place, Known]) -> Place:
    """The place that reads what this one read; itself, where that is still so, or nobody can say."""
    if was is None or (place in now and now[place].reads == was.reads):
        return place
    found = [other for other, known in now.items() if known.reads == was.reads]
    to_it = [other for other in found if now[other].target == was.target]
    alike = [other for other in to_it if other[0] == place[0] or other[1] == place[1]]
    for some in (alike, to_it, found):
        if len(some) == 1:
            return some[0]
    if place in now and (found or now[place].target != was.target):
        return place[0], ""  # its name means other rows by now
    return place


def names_ever(connection: Connection, catalog: Catalog, entities: Iterable[str]) -> list[str]:
    """These, and all that the places of these have been called."""
    names = set(entities)
    reads = {known.reads for place, known in present(catalog).items() if place[0] in names}
    rows = connection.execute(_ALIKE, {"reads": sorted(reads)}).fetchall()
    return sorted(names | {row[0] for row in rows})

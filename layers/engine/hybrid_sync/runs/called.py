"""Entities and sources that the catalog calls otherwise by now: what is kept of their rows goes with them.

Marks of deleted rows, ids of rows that are gone, failed records and holds are kept by the names of entity and source.
Under new names nobody would find them: a row that returns would stay marked as deleted or get another id, a held entity
would be written, a failed record would stay open for ever.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from typing import LiteralString

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import Place, places, quoted, reads
from hybrid_sync.dataclass import dataclass
from hybrid_sync.postgres import Connection, Question, together, transaction


@dataclass(frozen=True)
class Known:
    """What a place reads in legacy, and the table that it writes."""

    reads: str
    target: str


_DIGEST = """
select encode(sha256(convert_to(string_agg(
         entity || E'\\n' || source || E'\\n' || reads || E'\\n' || target,
         E'\\n' order by entity collate "C", source collate "C"), 'UTF8')), 'hex')
from hybrid_sync.place where left_at is null
"""
_RECORDED = Question(
    "select entity, source, reads, target from hybrid_sync.place p where left_at is null or not exists"
    " (select from hybrid_sync.place o where o.reads = p.reads and o.left_at is null)",
    None,
    lambda found: {(row[0], row[1]): Known(row[2], row[3]) for row in found.fetchall()},
)
"""The names of the last run, and those that left before it, unless their rows are another's since."""


def ask_called(catalog: Catalog) -> Question[bool | None]:
    """Whether all that the catalog has is recorded under its names, and nothing else; None before anything is."""
    lines = [f"{e}\n{s}\n{known.reads}\n{known.target}" for (e, s), known in sorted(present(catalog).items())]
    ours = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return Question(_DIGEST, None, lambda found: None if (row := found.fetchall()[0])[0] is None else row[0] == ours)


def take_along(target: Connection, catalog: Catalog) -> dict[str, list[str]]:
    """Bring what is kept under names of before to those of now, and end what nothing reads any more; safe to repeat.

    What may have been left behind, in sentences, by the entity of now: a key in other words may be another key.

    Which is which is told by what a place reads.  Where several new places read it, as after an entity was split in
    two, all of them are held if it was; the rest stays under its old name.
    """
    now = present(catalog)
    with transaction(target, "target"):
        with together(target) as trip:
            trip.do("lock table hybrid_sync.place in share row exclusive mode")
            recorded = trip.ask(_RECORDED)
        told = _left_behind(recorded.value, now)
        if recorded.value:
            _follow(target, recorded.value, now)
        _record(target, now)
    return told


def _left_behind(recorded: Mapping[Place, Known], now: Mapping[Place, Known]) -> dict[str, list[str]]:
    """Of names that are gone beside new ones of which the table in legacy, and in the target, is the same."""
    told: dict[str, list[str]] = {}
    for gone, was in recorded.items():
        if gone in now or any(known.reads == was.reads for known in now.values()):
            continue
        for place, known in now.items():
            alike = (_table_of(known), known.target) == (_table_of(was), was.target)
            if place not in recorded and alike:
                told.setdefault(place[0], []).append(
                    f"Entity {place[0]} ({place[1]}) reads and writes the tables of {gone[0]} ({gone[1]}), which the"
                    " catalog has no more, under a key in other words. Whether it is the same key, nobody knows: marks"
                    " of deleted rows, ids of rows that are gone and failed records stayed under the old names. A row"
                    " that returns may stay marked, or get another id. A name and the words of a key are changed one"
                    " after the other, with a run in between."
                )
    return told


def _table_of(known: Known) -> str:
    return known.reads.partition(" (")[0]


def _follow(target: Connection, recorded: Mapping[Place, Known], present: Mapping[Place, Known]) -> None:
    heirs = {place: _heirs(place, recorded, present) for place in recorded}
    moved = _unique({place: only for place, (only, _) in heirs.items() if only is not None})
    _pass_holds_on(target, heirs, {place[0] for place in present})
    if moved:
        _move(target, moved)
    others = {place[0] for place, was in recorded.items() if place in present and present[place].reads != was.reads}
    _forget_cache(others | {place[0] for place in moved.values()}, target)
    gone = [place for place in recorded if place not in present]
    _end([place for place in gone if place not in moved], target)
    _forget_fences({place[0] for place in (*gone, *moved.values())}, target)
    for place in gone:
        target.execute(
            "update hybrid_sync.place set left_at = coalesce(left_at, clock_timestamp())"
            " where entity = %s and source = %s",
            place,
        )


def present(catalog: Catalog) -> dict[Place, Known]:
    """The places of the catalog."""
    return {place: Known(reads(catalog, place), quoted(catalog[place[0]].target)) for place in places(catalog)}


def _heirs(
    place: Place, recorded: Mapping[Place, Known], present: Mapping[Place, Known]
) -> tuple[Place | None, list[Place]]:  # fmt: skip
    """The place that reads the same rows under names that did not mean them before; and all of which one may be it."""
    was = recorded[place]
    if place in present and present[place].reads == was.reads:
        return None, []
    found = [
        other for other, now in present.items()
        if now.reads == was.reads and (other not in recorded or recorded[other].reads != was.reads)
    ]  # fmt: skip
    to_it = [other for other in found if present[other].target == was.target]
    alike = [other for other in to_it if other[0] == place[0] or other[1] == place[1]]
    for some in (alike, to_it, found):
        if some:
            return (some[0] if len(some) == 1 else None), found
    return None, []


def _unique(moved: Mapping[Place, Place]) -> dict[Place, Place]:
    """Without those that became one, whose keys may be each other's."""
    claims = Counter(moved.values())
    return {place: to for place, to in moved.items() if claims[to] == 1}


def _pass_holds_on(
    target: Connection, heirs: Mapping[Place, tuple[Place | None, list[Place]]], present: Set[str]
) -> None:  # fmt: skip
    """To whoever may be the held one now; its old name stays held only where it means something."""
    for entity in sorted({place[0] for place in heirs}):
        others = sorted({to[0] for place, (_, among) in heirs.items() if place[0] == entity for to in among} - {entity})
        for other in others:
            target.execute(
                "insert into hybrid_sync.entity_state as s (entity, held, held_by, held_why, held_at)"
                " select %s, held, held_by, held_why, held_at from hybrid_sync.entity_state where entity = %s and held"
                " on conflict (entity) do update set held = true, held_by = excluded.held_by,"
                " held_why = excluded.held_why, held_at = excluded.held_at where not s.held",
                (other, entity),
            )
        if others and entity not in present:
            target.execute(
                "update hybrid_sync.entity_state set held = false, held_by = null, held_why = null, held_at = null"
                " where entity = %s and held",
                (entity,),
            )


_KEPT: dict[str, LiteralString] = {
    "tombstone": "key, run_id, at, before, written, ended_run, ended_at",
    "retired_id": "key, id, run_id, retired_at",
    "failed_record": (
        "key, reason, sqlstate, constraint_name, column_name, waits_for, present, status, attempts, first_run,"
        " last_run, first_seen, last_seen, ended_at, ended_by, queued_at, rows, accepted_why, row_version, redriven_by"
    ),
}  # fmt: skip
"""All but entity and source."""
_CALLED = sql.SQL(
    "unnest(%(entities)s::text[], %(sources)s::text[], %(others)s::text[], %(theirs)s::text[])"
    " as c (entity, source, other, their)"
)


_WAITING: tuple[LiteralString, ...] = (
    "update hybrid_sync.failed_record f"
    " set waits_for = waits_for || jsonb_build_object('entity', c.other, 'source', c.their) from {called}"
    " where f.waits_for->>'entity' = c.entity and f.waits_for->>'source' = c.source",
    "update hybrid_sync.pending_link p set parent_entity = c.other, parent_source = c.their from {called}"
    " where p.parent_entity = c.entity and p.parent_source = c.source",
)
"""Rows of others that wait for one under its old name."""


def _move(target: Connection, moved: Mapping[Place, Place]) -> None:
    given = {
        "entities": [p[0] for p in moved], "sources": [p[1] for p in moved],
        "others": [p[0] for p in moved.values()], "theirs": [p[1] for p in moved.values()],
    }  # fmt: skip
    # What references wait to be linked is found again when the entity is read as a whole.
    unlink = "delete from hybrid_sync.pending_link p using {called} where p.entity = c.entity and p.source = c.source"
    target.execute(sql.SQL(unlink).format(called=_CALLED), given)
    for name, columns in _KEPT.items():
        # Sorted, so that all are gone under the old names before one arrives: two may have exchanged theirs.
        target.execute(
            sql.SQL(
                "with gone as (delete from {table} t using {called} where t.entity = c.entity and t.source = c.source"
                " returning t.*, c.other, c.their)"
                " insert into {table} (entity, source, {columns}) select other, their, {columns} from gone"
                " order by other, their, key on conflict (entity, source, key) do nothing"
            ).format(table=sql.Identifier("hybrid_sync", name), called=_CALLED, columns=sql.SQL(columns)),
            given,
        )
    for follow in _WAITING:
        target.execute(sql.SQL(follow).format(called=_CALLED), given)


def _forget_cache(entities: Iterable[str], target: Connection) -> None:
    """Whatever the cache has under these names is of other rows."""
    target.execute(
        "insert into hybrid_sync.entity_state as s (entity) select unnest(%s::text[])"
        " on conflict (entity) do update set cache_epoch = s.cache_epoch + 1",
        (sorted(entities),),
    )


def _end(left: Iterable[Place], target: Connection) -> None:
    """Failed records of what nothing reads any more: nobody could heal or accept them."""
    for entity, source in sorted(left):
        target.execute(
            "update hybrid_sync.failed_record set status = 'resolved', ended_at = clock_timestamp(),"
            " ended_by = 'left the catalog' where entity = %s and source = %s and status in ('open', 'escalated')",
            (entity, source),
        )
        target.execute("delete from hybrid_sync.pending_link where entity = %s and source = %s", (entity, source))


def _forget_fences(entities: Iterable[str], target: Connection) -> None:
    """Each is read as a whole when it is carried next, under whatever name."""
    target.execute(
        "update hybrid_sync.fence set fence = null, version = version + 1 where entity = any(%s)", (sorted(entities),)
    )


def _record(target: Connection, present: Mapping[Place, Known]) -> None:
    columns = list(zip(*((*place, known.reads, known.target) for place, known in present.items()), strict=True))
    with together(target, commits=True) as trip:
        # What a name has meant: the journal of before is kept under it.
        trip.do(
            "insert into hybrid_sync.place_before (entity, source, reads, target)"
            " select p.entity, p.source, p.reads, p.target from hybrid_sync.place p"
            " join unnest(%s::text[], %s::text[], %s::text[], %s::text[]) as n (entity, source, reads, target)"
            " on n.entity = p.entity and n.source = p.source"
            " where (n.reads, n.target) is distinct from (p.reads, p.target)",
            [list(column) for column in columns],
        )
        trip.do(
            "insert into hybrid_sync.place as p (entity, source, reads, target)"
            " select * from unnest(%s::text[], %s::text[], %s::text[], %s::text[])"
            " on conflict (entity, source)"
            " do update set reads = excluded.reads, target = excluded.target, left_at = null"
            " where (p.reads, p.target) is distinct from (excluded.reads, excluded.target) or p.left_at is not null",
            [list(column) for column in columns],
        )


# --- names of then ---------------------------------------------------------------------------------------------------
# The journal keeps the names of its time; an undo asks where the rows are now.

NamesNow = Mapping[Place, Place]
"""Of then: of now.  Itself where nothing else is known, though the catalog may not have it any more."""

# When the run began a name meant what it did until it was given to other rows the first time after.
_MEANT: LiteralString = """
select p.entity, p.source, coalesce(b.reads, p.reads), coalesce(b.target, p.target)
from hybrid_sync.run r cross join hybrid_sync.place p left join lateral (
  select b.reads, b.target from hybrid_sync.place_before b
  where b.entity = p.entity and b.source = p.source and b.until > r.started_at order by b.until limit 1) b on true
where r.run_id = %s
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

"""The id map's cache and its copies: compare, build anew, keep a copy, and give lost rows their old ids back.

The target is the authority.  An entity is walked in key order, so many rows a call; whoever asks calls until none is
left.
"""

from __future__ import annotations

import json

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import table
from hybrid_sync.contracts import Key
from hybrid_sync.errors import PartMissing, RequestRejected
from hybrid_sync.ids.guard import epoch_of, forget, stretch
from hybrid_sync.ids.idmap import ids_in_target
from hybrid_sync.keys import key_from_json
from hybrid_sync.postgres import Connection
from hybrid_sync.services.desk import Desk, IdCache, at_target
from hybrid_sync.services.messages.idmap import (
    BackupAsked,
    Backups,
    BackupsAsked,
    CheckAsked,
    Checked,
    Kept,
    Position,
    RebuildAsked,
    Rebuilt,
    RestoreAsked,
    Restored,
    Walk,
)

ROWS = 20_000
"""Of one call: also where each of them lies in a page of its own, a call has time enough."""
_NAMED = 100
"""Keys named in one answer."""


def check(desk: Desk, asked: CheckAsked, _: str) -> Checked:
    """Compare one stretch of an entity's cached ids with the target's; changes nothing."""
    with at_target(desk) as target:
        source, ids, place = _stretch(target, desk.catalog, asked)
        epoch = epoch_of(target, asked.entity)
    cache = desk.new_id_cache()
    cached = cache.get(asked.entity, source, epoch, ids.keys())
    wrong = [key for key, uuid in cached.items() if ids[key] != uuid]
    _require_table(cache)
    return Checked(
        rows=len(ids), cached=len(cached), wrong=len(wrong), named=tuple((source, key) for key in wrong[:_NAMED]),
        unsealed=cache.counts.unsealed, next=place,
    )  # fmt: skip


def _require_table(cache: IdCache) -> None:
    """ConfigurationMissing where there is none: runs do without, and here it is what was asked about."""
    if cache.counts.gone:
        raise PartMissing(cache.counts.gone)


def rebuild(desk: Desk, asked: RebuildAsked, _: str) -> Rebuilt:
    """Safe to repeat, and beside a run: what a run adds meanwhile may be lost from the cache, and is asked again."""
    with at_target(desk) as target:
        if asked.at is None:
            forget(target, asked.entity, epoch_of(target, asked.entity))
        source, ids, place = _stretch(target, desk.catalog, asked)
        epoch = epoch_of(target, asked.entity)
    cache = desk.new_id_cache()
    cache.put(asked.entity, source, epoch, ids)
    _require_table(cache)
    return Rebuilt(rows=len(ids), left=cache.counts.unwritten, next=place)


def backup(desk: Desk, asked: BackupAsked, _: str) -> Kept:
    """Each part is as the target is at its moment; a run may go on meanwhile."""
    if asked.entity is None:
        places = [(name, source) for name, entity in desk.catalog.entities.items() for source in entity.sources]
        desk.id_backups.complete(asked.backup, places)
        return Kept(rows=0)
    with at_target(desk) as target:
        source, ids, place = _stretch(target, desk.catalog, Walk(entity=asked.entity, at=asked.at))
    number = asked.at.number if asked.at else 0
    desk.id_backups.write(asked.backup, asked.entity, source, number, ids)
    return Kept(rows=len(ids), next=place)


def backups(desk: Desk, _asked: BackupsAsked, _: str) -> Backups:
    """The names of the copies that were completed."""
    return Backups(backups=tuple(desk.id_backups.names()))


def restore(desk: Desk, asked: RestoreAsked, _: str) -> Restored:
    """Nothing in a mapped table is written: the next run brings the rows, and takes their ids from here."""
    known = desk.catalog[asked.entity].sources
    held = desk.id_backups.contents(asked.backup).get(asked.entity, {})
    sources = [source for source in held if source in known]
    if not sources:
        raise RequestRejected(
            f"The backup {asked.backup} has nothing of {asked.entity}.", "Choose another one, or another entity."
        )
    at = asked.at or Position(source=sources[0])
    ids = desk.id_backups.read(asked.backup, asked.entity, at.source, at.number)
    with at_target(desk) as target:
        there = ids_in_target(target, desk.catalog, asked.entity, at.source, list(ids))
        lost = {key: uuid for key, uuid in ids.items() if key not in there}
        kept = _retire(target, desk.catalog, asked, at.source, lost)
    same = sum(there.get(key) == uuid for key, uuid in ids.items())
    return Restored(
        rows=len(ids), there=same, kept=kept, other=len(ids) - same - kept,
        next=_behind(sources, at.source) if at.number + 1 >= held[at.source]
        else Position(source=at.source, number=at.number + 1),
    )  # fmt: skip


def _stretch(target: Connection, catalog: Catalog, asked: Walk) -> tuple[str, dict[Key, bytes], Position | None]:
    """The next rows: their source, key -> UUID, and where to go on."""
    sources = list(catalog[asked.entity].sources)
    at = asked.at or Position(source=sources[0])
    if at.source not in sources:
        raise RequestRejected(f"{asked.entity} has no source {at.source}: choose from {', '.join(sources)}.")
    ids = stretch(target, catalog, asked.entity, at.source, at.after, ROWS)
    if len(ids) == ROWS:
        return at.source, ids, Position(source=at.source, after=list(ids)[-1], number=at.number + 1)
    return at.source, ids, _behind(sources, at.source)


def _behind(sources: list[str], source: str) -> Position | None:
    """The beginning of the source behind this one."""
    following = sources[sources.index(source) + 1 :]
    return Position(source=following[0]) if following else None


def _retire(target: Connection, catalog: Catalog, asked: RestoreAsked, source: str, lost: dict[Key, bytes]) -> int:
    """Record the ids under which lost rows come back, but those that another row has now; returns how many."""
    if not lost:
        return 0
    keys, uuids = json.dumps([list(key) for key in lost]), [uuid.hex() for uuid in lost.values()]
    run = f"idmap-restore-{asked.backup}"
    found = target.execute(
        sql.SQL(
            "insert into hybrid_sync.retired_id as r (entity, source, key, id, run_id)"
            " select {}, {}, {}, l.id, {}"
            " from rows from (jsonb_array_elements({}::jsonb), unnest({}::uuid[])) as l (key, id)"
            " where not exists (select from {} t where t.id = l.id)"
            " on conflict (entity, source, key) do update set id = excluded.id, run_id = excluded.run_id"
            " returning 1"
        ).format(
            asked.entity, source, key_from_json(sql.SQL("l.key")), run, keys, uuids,
            table(catalog[asked.entity].target),
        )
    )  # fmt: skip
    return found.rowcount

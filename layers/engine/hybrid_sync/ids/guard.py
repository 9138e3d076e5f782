"""The guard of the id map: every cached entry must be the target's own; a wrong one would spread wrong references."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from itertools import islice

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import table
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.ids.idmap import PAGE, WIDTH, IdCache, ids_of
from hybrid_sync.keys import belongs_to, bucket_of, key_columns, key_list, key_literal, keys_after
from hybrid_sync.legacy.rows import sent
from hybrid_sync.postgres import Connection

_AT_ONCE = 5_000
"""Keys asked for together: ten pages of the cache."""
_BUCKETS_AT_ONCE = 20
"""Buckets that are compared together, by their digests."""
_NONE = bytes(WIDTH)


def wrong_entries(
    connection: Connection,
    catalog: Catalog,
    cache: IdCache,
    entity: str,
    source: str,
    epoch: int,
    where: sql.Composable,
) -> list[Key]:
    """Keys whose UUID cached under `epoch` is not that of the target's row; absent entries are no error.

    The target keeps ids and keys unique, so entries that all agree with it are one to one.  Reads in bounded memory.
    """
    found: list[Key] = []
    [first, *more] = key_columns(catalog[entity].sources[source].key)
    if not more:
        doubtful = _doubtful_buckets(connection, catalog, cache, entity, source, epoch, where)
        if not doubtful:
            return []
        where = sql.SQL("{} and {} = any({})").format(where, bucket_of(first), key_literal(doubtful))
    for ids in _in_target(connection, catalog, entity, source, where):
        cached = cache.get(entity, source, epoch, ids.keys())
        found += [key for key, uuid in cached.items() if ids[key] != uuid]
    return found


@dataclass(frozen=True)
class Stored:
    """What the target has of one bucket: first and last key, how many, and the md5 of their ids and of the keys,
    both in key order."""

    low: int
    high: int
    rows: int
    ids: str
    keys: str


def agrees(page: bytes, stored: Stored) -> bool:
    """Whether a page of the cache holds exactly what the target has, from the first to the last key of the bucket."""
    first = stored.low - stored.low % PAGE
    held = page[(stored.low - first) * WIDTH : (stored.high + 1 - first) * WIDTH]
    if stored.rows < stored.high - stored.low + 1:  # what lies between is no row's, so the keys have to be compared too
        ids = [held[at : at + WIDTH] for at in range(0, len(held), WIDTH)]
        keys = [key for key, uuid in enumerate(ids, stored.low) if uuid != _NONE]
        if _md5(struct.pack(f">{len(keys)}q", *keys)) != stored.keys:
            return False
        held = b"".join(uuid for uuid in ids if uuid != _NONE)
    return _md5(held) == stored.ids


def _md5(held: bytes) -> str:
    return hashlib.md5(held, usedforsecurity=False).hexdigest()


def _doubtful_buckets(
    connection: Connection, catalog: Catalog, cache: IdCache, entity: str, source: str, epoch: int,
    where: sql.Composable,
) -> list[int]:  # fmt: skip
    """Buckets of which something is cached, and not just what the target has: a page of the cache is a bucket."""
    definition = catalog[entity]
    [key] = key_columns(definition.sources[source].key)
    query = sql.SQL(
        "select n, min(k), max(k), count(*), md5(string_agg(b, '')), md5(string_agg(int8send(k), '')) from"
        " (select {n} as n, {key} as k, uuid_send(id) as b from {table} where {where} and {ours}"
        " order by 2) r group by n"
    ).format(
        n=bucket_of(key), key=key_list([key]), table=table(definition.target), where=where,
        ours=belongs_to(definition.sources[source]),
    )  # fmt: skip
    buckets = sorted((n, Stored(*stored)) for n, *stored in connection.execute(query).fetchall())
    doubtful: list[int] = []
    for at in range(0, len(buckets), _BUCKETS_AT_ONCE):
        some = dict(buckets[at : at + _BUCKETS_AT_ONCE])
        pages = cache.pages(entity, source, epoch, list(some))
        doubtful += [n for n, page in pages.items() if not agrees(page, some[n])]
    return doubtful


def epoch_of(connection: Connection, entity: str) -> int:
    """The epoch under which the entity's ids are cached."""
    row = connection.execute("select cache_epoch from hybrid_sync.entity_state where entity = %s", (entity,)).fetchone()
    return int(row[0]) if row else 0


def forget(connection: Connection, entity: str, epoch: int) -> None:
    """Make everything that is cached under `epoch` invisible: it is asked from the target again.  Safe to repeat."""
    connection.execute(
        "update hybrid_sync.entity_state set cache_epoch = cache_epoch + 1 where entity = %s and cache_epoch = %s",
        (entity, epoch),
    )


def stretch(
    connection: Connection, catalog: Catalog, entity: str, source: str, after: Key | None, rows: int
) -> dict[Key, bytes]:
    """Key -> UUID of the source's first rows behind the key, in key order; fewer than `rows` where no more follow."""
    columns = key_columns(catalog[entity].sources[source].key)
    query = _ids(catalog, entity, source, keys_after(columns, after), rows)
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        return ids_of(sent(copy), len(columns))


def _in_target(
    connection: Connection, catalog: Catalog, entity: str, source: str, where: sql.Composable
) -> Iterator[dict[Key, bytes]]:
    """Key -> UUID of the source's rows under `where`, in key order, some at a time."""
    width = len(catalog[entity].sources[source].key)
    query = _ids(catalog, entity, source, where, None)
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        rows = sent(copy)
        while ids := ids_of(islice(rows, _AT_ONCE), width):
            yield ids


def _ids(catalog: Catalog, entity: str, source: str, where: sql.Composable, rows: int | None) -> sql.Composed:
    """The binary COPY of ids and keys that `ids_of` reads, in key order."""
    definition = catalog[entity]
    ordered = key_list(key_columns(definition.sources[source].key))
    return sql.SQL(
        "copy (select id, {} from {} where {} and {} order by {} limit {}) to stdout (format binary)"
    ).format(
        ordered, table(definition.target), where, belongs_to(definition.sources[source]), ordered, sql.Literal(rows)
    )

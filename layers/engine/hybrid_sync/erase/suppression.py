"""Which keys the list means: hashes back to keys, for the plans that leave them out and for erasing them again."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.columns import spliced
from hybrid_sync.catalog.compile import relations
from hybrid_sync.contracts import Key
from hybrid_sync.erase.closure import Rows
from hybrid_sync.erase.hashes import Hashes, Place
from hybrid_sync.erase.places import Called
from hybrid_sync.erase.rows import stored_keys
from hybrid_sync.keys import bucket_of, key_columns, key_literal, key_parts
from hybrid_sync.postgres import Connection, inside


def keys_behind(
    catalog: Catalog, hashes: Hashes, listed: Iterable[tuple[Place, int, bytes]], called: Called, legacy: Connection,
    target: Connection,
) -> Rows:  # fmt: skip
    """The keys of these lines (place, bucket, hash), by what their places are called now.

    A composite key cannot be tried, so both sides are asked which ones they have; what neither has, nothing writes.
    """
    by_place: dict[Place, dict[int, set[bytes]]] = {}
    for place, bucket, digest in listed:
        by_place.setdefault(place, {}).setdefault(bucket, set()).add(digest)
    found: Rows = {}
    for then, buckets in by_place.items():
        for place in sorted(called.get(then, {then})):
            entity = catalog.entities.get(place[0])
            if entity is None or place[1] not in entity.sources:
                continue  # the catalog has it no more, so nothing reads it
            keys = found.setdefault(place, set())
            if len(entity.sources[place[1]].key) == 1:
                keys.update(key for n, some in buckets.items() for key in _tried(hashes, then, n, frozenset(some)))
            else:
                wanted = {digest for some in buckets.values() for digest in some}
                known = hashes.of(then, _composite(catalog, place, sorted(buckets), legacy, target))
                keys.update(known[one] for one in wanted & known.keys())
    return found


@lru_cache(maxsize=50_000)
def _tried(hashes: Hashes, place: Place, bucket: int, some: frozenset[bytes]) -> frozenset[Key]:
    """The keys of one bucket by their hashes; a worker computes them once."""
    return frozenset(hashes.keys_of_buckets(place, set(some), [bucket]))


def _composite(
    catalog: Catalog, place: Place, buckets: list[int], legacy: Connection, target: Connection
) -> set[Key]:  # fmt: skip
    entity = catalog[place[0]]
    source = entity.sources[place[1]]
    exprs = [spliced(e) for e in source.key.values()]

    def within(first: sql.Composable) -> sql.Composed:
        return sql.SQL("{} = any({})").format(bucket_of(first), key_literal(buckets))

    with inside(legacy, "legacy", path=entity.legacy_search_path):
        rows = legacy.execute(
            sql.SQL("select array[{}] from {} where {}").format(
                sql.SQL(", ").join(key_parts(exprs)), relations(source), within(exprs[0])
            )
        ).fetchall()
    ours = {tuple(row[0]) for row in rows}
    return ours | stored_keys(catalog, place, within(key_columns(source.key)[0]), target)

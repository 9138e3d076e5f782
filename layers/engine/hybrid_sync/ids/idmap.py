"""The id map: legacy key -> UUID.  The target's unique legacy-key column is the authority, the cache is a cache."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import table
from hybrid_sync.contracts import Key
from hybrid_sync.keys import BUCKET, belongs_to, key_columns
from hybrid_sync.many_keys import at_least, decode_keys, decode_parts, packed_ids, unpacked_ids
from hybrid_sync.postgres import Connection

PAGE = BUCKET
"""Consecutive legacy integers whose ids are cached together."""
WIDTH = 16
"""Bytes of a UUID."""


class IdCache(Protocol):
    """UUIDs by legacy key, one namespace per entity, source and epoch; an entry may be absent, never wrong.

    Neither call fails because the cache is down: it then answers "absent", or forgets.
    """

    def get(self, entity: str, source: str, epoch: int, keys: Collection[Key]) -> dict[Key, bytes]: ...

    def get_filled(self, entity: str, source: str, epoch: int, fields: Collection[bytes]) -> dict[bytes, bytes]:
        """Of integers of 8 bytes each those that are found at once, because they lie close together; maybe none."""

    def pages(self, entity: str, source: str, epoch: int, numbers: Collection[int]) -> dict[int, bytes]:
        """Of these pages of integers, those of which something is cached: the ids in key order, zeros for each absent
        one; an entry that was added a moment ago may be among the absent."""

    def put(self, entity: str, source: str, epoch: int, ids: Mapping[Key, bytes]) -> None: ...


class Ids(Protocol):
    """Where a batch looks ids up."""

    def own(self, connection: Connection, entity: str, source: str, keys: list[Key]) -> dict[Key, bytes]: ...

    def resolve(
        self, connection: Connection, entity: str, source: str, legacy: Collection[bytes], *, fresh: bool = False,
        guarded: bool = True,
    ) -> dict[bytes, bytes]: ...  # fmt: skip

    def remember(self, entity: str, source: str, ids: Mapping[Key, bytes]) -> None: ...


class IdMap:
    """Resolves references for one batch: memory and cache first, then the target, which also repairs the cache."""

    def __init__(self, catalog: Catalog, cache: IdCache, epochs: Mapping[str, int]) -> None:
        self._catalog = catalog
        self._cache = cache
        self._epochs = epochs

    def resolve(
        self,
        connection: Connection,
        entity: str,
        source: str,
        legacy: Collection[bytes],
        *,
        fresh: bool = False,
        guarded: bool = True,
    ) -> dict[bytes, bytes]:
        """UUIDs for 8-byte legacy integers; those without a target row are left out.

        `fresh` bypasses the cache: the answer to a foreign-key violation that a stale entry may have caused.  So does a
        reference that no foreign key has `guarded`.
        """
        epoch = self._epochs.get(entity, 0)
        at_once = {} if fresh or not guarded else self._cache.get_filled(entity, source, epoch, legacy)
        if len(at_once) == len(legacy):
            return at_once
        left = [field for field in legacy if field not in at_once]
        wanted: dict[Key, bytes] = dict(zip(decode_parts(left), left, strict=True))
        found = {} if fresh or not guarded else self._cache.get(entity, source, epoch, wanted.keys())
        absent = [key for key in wanted if key not in found]
        if absent:
            asked = ids_in_target(connection, self._catalog, entity, source, absent)
            self.remember(entity, source, asked)
            found = {**found, **asked}
        return at_once | {wanted[key]: uuid for key, uuid in found.items()}

    def own(self, connection: Connection, entity: str, source: str, keys: list[Key]) -> dict[Key, bytes]:
        """UUIDs of the rows of these keys that are there; never from the cache."""
        return ids_in_target(connection, self._catalog, entity, source, keys)

    def remember(self, entity: str, source: str, ids: Mapping[Key, bytes]) -> None:
        """Write to the cache; only ids of rows whose transaction has committed."""
        if ids:
            self._cache.put(entity, source, self._epochs.get(entity, 0), ids)


def ids_in_target(
    connection: Connection, catalog: Catalog, entity: str, source: str, keys: list[Key]
) -> dict[Key, bytes]:
    """Key -> UUID of the rows that exist in the target, by its unique legacy-key column."""
    definition = catalog[entity]
    columns = key_columns(definition.sources[source].key)
    query = sql.SQL("select {} from {} where {} and {}").format(
        packed_ids(columns), table(definition.target), at_least(columns, keys),
        belongs_to(definition.sources[source]),
    )  # fmt: skip
    ((packed,),) = connection.execute(query).fetchall()
    found = unpacked_ids(packed or b"", len(columns))
    if not found or found.keys() <= (wanted := set(keys)):
        return found
    return {key: uuid for key, uuid in found.items() if key in wanted}


def ids_of(rows: Iterable[bytes], width: int) -> dict[Key, bytes]:
    """Key -> UUID of rows of id and the key's `width` columns as bigints, in their order."""
    # 2 bytes field count, 4 + 16 for the id, then the key's columns
    fields = [(row[22:], row[6:22]) for row in rows]
    return dict(zip(decode_keys([key for key, _ in fields], (8,) * width), [uuid for _, uuid in fields], strict=True))

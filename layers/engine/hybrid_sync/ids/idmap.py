"""The id map: legacy key -> UUID.  The target's unique legacy-key column is the authority, the cache is a cache."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Protocol

from psycopg import sql
from psycopg.abc import Buffer

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import table
from hybrid_sync.contracts import Key
from hybrid_sync.keys import belongs_to, decode_key, decode_part, key_columns, key_list, one_of
from hybrid_sync.postgres import Connection

_HEADER_BYTES = 19
_TRAILER = b"\xff\xff"


class IdCache(Protocol):
    """UUIDs by legacy key, one namespace per entity, source and epoch; an entry may be absent, never wrong.

    Neither call fails because the cache is down: it then answers "absent", or forgets.
    """

    def get(self, entity: str, source: str, epoch: int, keys: Collection[Key]) -> dict[Key, bytes]: ...

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
        wanted: dict[Key, bytes] = {(decode_part(key),): key for key in legacy}
        epoch = self._epochs.get(entity, 0)
        found = {} if fresh or not guarded else self._cache.get(entity, source, epoch, wanted.keys())
        absent = [key for key in wanted if key not in found]
        if absent:
            asked = ids_in_target(connection, self._catalog, entity, source, absent)
            self.remember(entity, source, asked)
            found = {**found, **asked}
        return {wanted[key]: uuid for key, uuid in found.items()}

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
    query = sql.SQL("copy (select id, {} from {} where {} and {}) to stdout (format binary)").format(
        key_list(columns), table(definition.target), one_of(columns, keys), belongs_to(definition.sources[source])
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        return dict(rows_of(copy))


def rows_of(copy: Iterable[Buffer]) -> Iterator[tuple[Key, bytes]]:
    """(key, UUID) of each row of a binary COPY of id and the key's columns in one type."""
    for i, chunk in enumerate(copy):
        row = bytes(chunk)[_HEADER_BYTES if i == 0 else 0 :]
        if len(row) > len(_TRAILER):
            # 2 bytes field count, 4 + 16 for the id, then the key's columns
            yield decode_key(row[22:]), row[6:22]

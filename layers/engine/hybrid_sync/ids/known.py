"""The ids of a few rows and of what they refer to, asked of the target in one message and never of a cache.

They are asked within the transaction that writes the rows, so that no page of the cache has to be believed, or proved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import cached_property

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import table
from hybrid_sync.contracts import Key
from hybrid_sync.ids.idmap import ids_in_target
from hybrid_sync.keys import belongs_to, decode_part, key_columns, key_list, one_of
from hybrid_sync.postgres import Connection, Cursor, Question
from hybrid_sync.session import Trip

Place = tuple[str, str]
"""Entity and source."""


def ask_ids(catalog: Catalog, place: Place, keys: Collection[Key]) -> Question[dict[Key, bytes]]:
    """Key -> UUID of those of the keys whose rows exist in the target."""
    definition = catalog[place[0]]
    source = definition.sources[place[1]]
    columns = key_columns(source.key)
    query = sql.SQL("select id, {} from {} where {} and {}").format(
        key_list(columns), table(definition.target), one_of(columns, keys), belongs_to(source)
    )

    def ids(found: Cursor) -> dict[Key, bytes]:
        return {tuple(key): uuid.bytes for uuid, *key in found.fetchall()}

    return Question(query, None, ids)


class KnownIds:
    """What was asked, and what the same transaction has written since: a child finds the parent that came before it."""

    def __init__(self, trip: Trip, catalog: Catalog, wanted: Mapping[Place, Collection[Key]]) -> None:
        """To be used after the trip."""
        self._catalog = catalog
        self._asked = {place: trip.ask(ask_ids(catalog, place, keys)) for place, keys in wanted.items() if keys}

    @cached_property
    def _found(self) -> defaultdict[Place, dict[Key, bytes]]:
        return defaultdict(dict, {place: answer.value for place, answer in self._asked.items()})

    def among(self, place: Place, keys: Collection[Key]) -> set[Key]:
        """Those of the keys that have a row in the target."""
        return self._found[place].keys() & set(keys)

    def own(self, connection: Connection, entity: str, source: str, keys: list[Key]) -> dict[Key, bytes]:
        """UUIDs of the rows of these keys that are there."""
        known = self._found[entity, source]
        return {key: known[key] for key in keys if key in known}

    def resolve(
        self, connection: Connection, entity: str, source: str, legacy: Collection[bytes], *, fresh: bool = False,
        guarded: bool = True,
    ) -> dict[bytes, bytes]:  # fmt: skip
        """As `IdMap.resolve`; `fresh` asks once more, of a parent that may have gone meanwhile."""
        keys: dict[Key, bytes] = {(decode_part(key),): key for key in legacy}
        known = self._found[entity, source]
        if fresh:
            there = ids_in_target(connection, self._catalog, entity, source, list(keys))
            self._found[entity, source] = known = {k: v for k, v in known.items() if k not in keys} | there
        return {keys[key]: known[key] for key in keys if key in known}

    def remember(self, entity: str, source: str, ids: Mapping[Key, bytes]) -> None:
        """Rows that this transaction has written."""
        self._found[entity, source].update(ids)

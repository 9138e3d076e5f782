"""What a sync must not touch: the UUID of a row that was there before, and rows born in the target."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.place import table

Key = tuple[object, ...]


@dataclass(frozen=True)
class Seen:
    """The target at one moment, per entity: the UUID under each legacy key, and a digest of all native rows.

    `retired` are the UUIDs that wait for their keys to return: those of rows deleted because legacy deleted them.
    """

    ids: dict[str, dict[Key, Any]] = field(default_factory=dict)
    retired: dict[str, set[Any]] = field(default_factory=dict)
    natives: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Touched:
    """Entities of which a UUID changed or vanished, and entities whose native rows changed; empty when all is well."""

    ids: tuple[str, ...]
    natives: tuple[str, ...]

    @property
    def any(self) -> bool:
        return bool(self.ids or self.natives)


def look(target: psycopg.Connection[Any], catalog: Catalog) -> Seen:
    """Read every mapped row's key and id, and digest the native rows whole."""
    seen = Seen()
    for name, entity in catalog.entities.items():
        keys = _key_columns(entity)
        mapped = sql.SQL("select {}, id from {} where {} is not null").format(
            sql.SQL(", ").join(map(sql.Identifier, keys)), table(entity.target), sql.Identifier(keys[0])
        )
        seen.ids[name] = {tuple(row[:-1]): row[-1] for row in target.execute(mapped)}
        gone = target.execute("select id from hybrid_sync.retired_id where entity = %s", (name,))
        seen.retired[name] = {id_ for (id_,) in gone}
        native = sql.SQL("select coalesce(md5(string_agg(t::text, '|' order by id)), '') from {} t where {} is null")
        row = target.execute(native.format(table(entity.target), sql.Identifier(keys[0]))).fetchone()
        seen.natives[name] = row[0] if row else ""
    return seen


def touched(before: Seen, after: Seen) -> Touched:
    """What changed of what was there `before`; rows that came since, or went with their legacy row, are no matter."""

    def kept(entity: str, key: Key, id_: object) -> bool:
        there = after.ids[entity].get(key)
        return there == id_ or (there is None and id_ in after.retired[entity])

    return Touched(
        ids=tuple(e for e, ids in before.ids.items() if not all(kept(e, key, id_) for key, id_ in ids.items())),
        natives=tuple(e for e, digest in before.natives.items() if after.natives[e] != digest),
    )


def _key_columns(entity: Entity) -> list[str]:
    source = next(iter(entity.sources.values()))
    return [*source.key, *source.discriminator]

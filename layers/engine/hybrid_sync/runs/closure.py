"""What a request for a few rows really needs: the rows, and every parent that the target does not have yet."""

from __future__ import annotations

from collections.abc import Collection

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.columns import spliced
from hybrid_sync.catalog.compile import relations
from hybrid_sync.contracts import MAX_REFS, Key, Ref
from hybrid_sync.errors import RequestRejected
from hybrid_sync.ids.idmap import ids_in_target
from hybrid_sync.keys import key_list, one_of
from hybrid_sync.postgres import Connection, path_setting
from hybrid_sync.runs.store import Requested

_MOST = 20 * MAX_REFS
"""Rows in one closure; a request that needs more is really a run of its entities."""


def requested(catalog: Catalog, refs: tuple[Ref, ...]) -> Requested:
    """The named rows by entity and source; RequestRejected for a name or a key that does not fit the catalog."""
    found: Requested = {}
    for ref in refs:
        entity = catalog[ref.entity]
        names = [ref.source] if ref.source else list(entity.sources)
        if len(names) > 1 or names[0] not in entity.sources:
            raise RequestRejected(
                f"A reference to {ref.entity} must say which source it means.",
                f"Add source: one of {', '.join(entity.sources)}.",
            )
        width = len(entity.sources[names[0]].key)
        if len(ref.key) != width:
            raise RequestRejected(
                f"A key of {ref.entity} has {width} part(s), not {len(ref.key)}.",
                f"Send {', '.join(entity.sources[names[0]].key)} in this order.",
            )
        keys = found.setdefault(ref.entity, {}).setdefault(names[0], [])
        if ref.key not in keys:
            keys.append(ref.key)
    return found


def close(
    catalog: Catalog, wanted: Requested, legacy: Connection, target: Connection, *, without: Collection[str] = ()
) -> Requested:
    """Add the parents that are missing in the target, and their parents; read without locks.

    The batches lock and read again, so a parent that arrives in between is merely read once more.  Entities among
    `without` cannot be carried: neither they nor their parents are looked at.
    """
    closed: Requested = {e: {s: list(keys) for s, keys in sources.items()} for e, sources in wanted.items()}
    waiting = [(e, s, keys) for e, sources in wanted.items() for s, keys in sources.items()]
    while waiting:
        entity, source, keys = waiting.pop()
        if entity in without:
            continue
        for parent_entity, parent_source, parent_keys in _parents(catalog, entity, source, keys, legacy):
            if parent_entity in without:
                continue
            known = closed.get(parent_entity, {}).get(parent_source, [])
            unknown = [key for key in parent_keys if key not in set(known)]
            there = ids_in_target(target, catalog, parent_entity, parent_source, unknown) if unknown else {}
            missing = [key for key in unknown if key not in there]
            if missing:
                closed.setdefault(parent_entity, {}).setdefault(parent_source, []).extend(missing)
                waiting.append((parent_entity, parent_source, missing))
        if sum(len(keys) for sources in closed.values() for keys in sources.values()) > _MOST:
            raise RequestRejected(
                "The request needs too many rows that the target does not have yet.",
                "Run the entities as a whole, without refs.",
            )
    return closed


def _parents(
    catalog: Catalog, entity: str, source_name: str, keys: list[Key], legacy: Connection
) -> list[tuple[str, str, list[Key]]]:
    """The parent keys that these rows refer to, deferred references included, per parent entity and source."""
    source = catalog[entity].sources[source_name]
    parents = [p for reference in source.references.values() for p in reference.parents]
    if not parents:
        return []
    selected = key_list(spliced(p.key) for p in parents)
    where = one_of([spliced(e) for e in source.key.values()], keys)
    legacy.execute(path_setting(catalog[entity].legacy_search_path))
    rows = legacy.execute(sql.SQL("select {} from {} where {}").format(selected, relations(source), where)).fetchall()
    found: list[tuple[str, str, list[Key]]] = []
    for i, parent in enumerate(parents):
        values: list[Key] = [(value,) for value in sorted({row[i] for row in rows if row[i] is not None})]
        if values:
            found.append((parent.to, catalog.source_of(parent)[0], values))
    return found

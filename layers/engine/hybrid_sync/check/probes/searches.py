"""What legacy would have to read whole for a few rows, because no index serves it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from psycopg import sql

from hybrid_sync.catalog.compile import relations
from hybrid_sync.catalog.models import Entity, Source
from hybrid_sync.check.context import ProbeContext
from hybrid_sync.check.model import Finding, warning
from hybrid_sync.check.probe import probe
from hybrid_sync.errors import MissingPrivilege, StructureMismatch
from hybrid_sync.legacy.changes import Detection, changed, in_range
from hybrid_sync.postgres import transaction

_SIZE = """
select pg_table_size(c.oid) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s
"""


@probe("legacy")
def legacy_indexes(context: ProbeContext) -> Iterator[Finding]:
    """Large tables of legacy that are read whole for one batch: no index on the key, a join or the time of change."""
    for entity in context.catalog.entities.values():
        with suppress(StructureMismatch, MissingPrivilege):  # what does not fit is reported elsewhere
            yield from _of_entity(context, entity)


def _of_entity(context: ProbeContext, entity: Entity) -> Iterator[Finding]:
    for name, source in entity.sources.items():
        yield from _of(context, entity, source, in_range(source, 0, 1), f"a batch of {entity.entity} ({name})")
        if entity.detect == "timestamp":
            recent = changed(source, Detection("range", since=datetime.now(UTC)))
            yield from _of(context, entity, source, recent, f"what has changed of {entity.entity} ({name})")


def _of(context: ProbeContext, entity: Entity, source: Source, where: sql.Composable, what: str) -> Iterator[Finding]:
    """Where an index is there, a planner that must not scan takes it, however few rows it believes in."""
    statement = sql.SQL("explain (format json, verbose, costs off) select from {} where {}")
    path = entity.legacy_search_path
    with transaction(context.connections["legacy"], "legacy", read_only=True, path=path) as legacy:
        legacy.execute("set local enable_seqscan = off")
        legacy.execute("set local jit = off")
        row = legacy.execute(statement.format(relations(source), where)).fetchone()
        assert row is not None, "a plan in JSON is one row"
        scanned = {(node["Schema"], node["Relation Name"]) for node in _nodes(row[0][0]["Plan"]) if _reads_all(node)}
        sizes = {place: legacy.execute(_SIZE, place).fetchone() for place in sorted(scanned)}
    for (schema, name), size in sizes.items():
        if size is not None and size[0] > context.limits.scan_bytes:
            yield warning(
                "no_index",
                f"Legacy reads all of {schema}.{name} ({size[0] / 1024**2:,.0f} MB) for {what}: no index serves it.",
                f"Create an index on {schema}.{name} over the key or the joined column that {entity.entity} names.",
            )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def _reads_all(node: dict[str, Any]) -> bool:
    if "Relation Name" not in node or node["Node Type"] == "Bitmap Heap Scan":
        return False
    return "Index Cond" not in node and "TID Cond" not in node

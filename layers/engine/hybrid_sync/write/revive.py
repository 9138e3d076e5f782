"""Rows that are marked as deleted come back when their key returns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from psycopg import sql

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.models import Source
from hybrid_sync.catalog.shape import TargetColumn, TargetTable
from hybrid_sync.contracts import Key
from hybrid_sync.keys import is_row_of, record_among, record_between
from hybrid_sync.postgres import Connection
from hybrid_sync.rows.failed import FailedRow
from hybrid_sync.write.images import image_of, restorable, restored
from hybrid_sync.write.isolate import reason_of
from hybrid_sync.write.journal import Batch, entries, follow_triggers
from hybrid_sync.write.native import AS_NATIVES, write_each
from hybrid_sync.write.renamed import Renamed, image_now, missing, named_now, renamed_since

UNKNOWN_MARK = "unknown_mark"
"""The reason for which a row stays marked: what its mark names is not there, and nobody knows what became of it."""


def revive(
    connection: Connection, table: TargetTable, source: Source, plan: ReadPlan, batch: Batch,
    keys: tuple[int, int], arrived: Collection[Key],
) -> list[FailedRow]:  # fmt: skip
    """Bring back rows that have just been written from legacy again; `keys` are the first and the last of the batch's.

    Puts back exactly the columns that the deletion set, whatever they are called by now, except where a person has
    changed them since or legacy fills them anyway; journalled.  Rows that the target refuses, or whose columns nobody
    knows any more, stay marked and come back as failed.
    """
    rows = connection.execute(
        sql.SQL(
            "select key, run_id, array(select jsonb_object_keys(before)) from hybrid_sync.tombstone"
            " where entity = {} and source = {} and ended_run is null and {}"
        ).format(batch.entity, batch.source, record_between(keys))
    ).fetchall()
    by_run: dict[str, dict[Key, set[str]]] = {}
    for key, run_id, columns in rows:
        if tuple(key) in arrived:
            by_run.setdefault(run_id, {})[tuple(key)] = set(columns)
    failed: list[FailedRow] = []
    for run_id, found in sorted(by_run.items()):
        renamed = renamed_since(connection, run_id, batch.entity, sql.Identifier(table.schema, table.name))
        if renamed is None:
            lost = {key: column for key, names in found.items() if (column := missing(names, table)) is not None}
            failed += [FailedRow(key, UNKNOWN_MARK, column, present=True) for key, column in sorted(lost.items())]
            found = {key: names for key, names in found.items() if key not in lost}
        failed += _revive(connection, table, source, plan, batch, found, renamed or {}) if found else []
    if by_run:
        follow_triggers(connection, table, batch.batch_id)
    return failed


def _revive(
    connection: Connection, table: TargetTable, source: Source, plan: ReadPlan, batch: Batch,
    found: Mapping[Key, set[str]], renamed: Renamed,
) -> list[FailedRow]:  # fmt: skip
    """Those that one run has marked."""
    named = set(named_now(set().union(*found.values()), renamed)) - set(plan.mapped_columns)
    columns = restorable(table.columns, sorted(named))

    def end(some: Sequence[Key]) -> None:
        connection.execute(
            sql.SQL(
                "update hybrid_sync.tombstone set ended_run = {}, ended_at = clock_timestamp()"
                " where entity = {} and source = {} and {}"
            ).format(batch.run_id, batch.entity, batch.source, record_among(some))
        )

    if not columns:
        end(sorted(found))
        return []
    refused = write_each(
        connection, sorted(found), lambda some: _put_back(table, source, batch, columns, some, renamed), end
    )
    return [
        FailedRow(r.item, reason_of(r.sqlstate), sqlstate=r.sqlstate, constraint=r.constraint, present=True)
        for r in refused
    ]


def _put_back(
    table: TargetTable, source: Source, batch: Batch, columns: Sequence[TargetColumn], keys: Sequence[Key],
    renamed: Renamed,
) -> sql.Composed:  # fmt: skip
    """Set the columns and journal what they were, in one statement."""
    names = [column.name for column in columns]
    written_now = image_now(sql.SQL("d.written"), renamed)
    untouched = [
        sql.SQL(
            '({written} ? {name} and t.{column}::text collate pg_catalog."C" is not distinct from {written} ->> {name})'
        ).format(written=written_now, name=sql.Literal(name), column=sql.Identifier(name))
        for name in names
    ]
    assignments = [
        sql.SQL("{column} = case when {name} = any(old.hybrid_sync_ours) then {value} else t.{column} end").format(
            column=sql.Identifier(column.name), name=sql.Literal(column.name),
            value=restored(sql.SQL("old.hybrid_sync_mark"), column),
        )
        for column in columns
    ]  # fmt: skip
    ours = sql.SQL("array_remove(array[{}], null)").format(
        sql.SQL(", ").join(
            sql.SQL("case when {} then {} end").format(condition, sql.Literal(name))
            for condition, name in zip(untouched, names, strict=True)
        )
    )
    written = sql.SQL(
        "select hybrid_sync_key, hybrid_sync_id, written_by, hybrid_sync_prior, hybrid_sync_before"
        " from old join back on back.id = hybrid_sync_id"
    )
    return sql.SQL(
        "with old as (select t.id as hybrid_sync_id, d.key as hybrid_sync_key, t.xmin as hybrid_sync_prior,"
        " {image} as hybrid_sync_before, {mark} as hybrid_sync_mark, {ours} as hybrid_sync_ours"
        " from hybrid_sync.tombstone d join {table} t on {own}"
        " where d.entity = {entity} and d.source = {source} and d.ended_run is null and {chosen}"
        " and ({touched}) order by t.id for no key update of t),"
        " back as (update {table} t set {assignments} from old, {natives} where t.id = old.hybrid_sync_id"
        "  returning t.id, t.xmin as written_by)"
        " {journal}"
    ).format(
        image=image_of("t", names), mark=image_now(sql.SQL("d.before"), renamed), ours=ours,
        table=sql.Identifier(table.schema, table.name),
        own=is_row_of(source, sql.SQL("d.key")), entity=sql.Literal(batch.entity), source=sql.Literal(batch.source),
        touched=sql.SQL(" or ").join(untouched), assignments=sql.SQL(", ").join(assignments),
        chosen=record_among(keys, sql.SQL("d.key")), natives=AS_NATIVES, journal=entries(batch, "update", written),
    )  # fmt: skip

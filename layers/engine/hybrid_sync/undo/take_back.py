"""Taking back what the entries of a stage wrote: put columns back, delete, insert again.

A row that the target refuses, or that something refers to, stays as it is and gets a verdict; the others go on.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.undo.move import lines, put_back, refuse, try_each
from hybrid_sync.undo.verdict import UNDO, Stage
from hybrid_sync.write.images import restorable, restored
from hybrid_sync.write.native import AS_NATIVES
from hybrid_sync.write.referring import Doomed, keep_referred

_DOOMED = Doomed(UNDO, sql.SQL("verdict = 'ours'"), sql.SQL("verdict = 'referenced'"))


def restore(stage: Stage) -> None:
    """Put the columns of the before-images back."""
    assignments = [
        sql.SQL("{} = {}").format(sql.Identifier(c.name), restored(sql.SQL("u.before"), c))
        for c in stage.columns
        if c.name != "id"
    ]

    def attempt(some: Sequence[int]) -> sql.Composed:
        return sql.SQL(
            "with w as (update {table} t set {assignments} from {undo} u, {natives}"
            " where t.id = u.id and u.row_xid is not null and {lines} returning t.id)"
            " update {undo} u set verdict = 'done' from w where w.id = u.id"
        ).format(
            table=stage.relation,
            assignments=sql.SQL(", ").join(assignments),
            undo=UNDO,
            natives=AS_NATIVES,
            lines=lines(some),
        )

    if not assignments:  # the columns have been dropped since: nothing is left to put back
        stage.connection.execute(sql.SQL("update {} set verdict = 'already' where verdict = 'ours'").format(UNDO))
        return
    put_back(stage, attempt)
    _finish(stage, sql.SQL("row_xid is not null"))


def delete(stage: Stage, catalog: Catalog) -> None:
    """Delete what the entries inserted, unless a row refers to it that is not deleted with it."""
    keep_referred(stage.connection, catalog, stage.entity, _DOOMED)

    def attempt(some: Sequence[int]) -> sql.Composed:
        return sql.SQL(
            "with w as (delete from {table} t using {undo} u, {natives} where t.id = u.id and {lines} returning t.id)"
            " update {undo} u set verdict = 'done' from w where w.id = u.id"
        ).format(table=stage.relation, undo=UNDO, natives=AS_NATIVES, lines=lines(some))

    refuse(stage, try_each(stage, attempt))
    _finish(stage, sql.SQL("true"))


def insert(stage: Stage) -> None:
    """Insert again what the entries deleted, under its old id."""
    columns = restorable(stage.table.columns, stage.segment.columns, whole=True)

    def attempt(some: Sequence[int]) -> sql.Composed:
        return sql.SQL(
            "with w as (insert into {table} ({names}) overriding system value select {values} from {undo} u, {natives}"
            " where u.row_xid is null and {lines} returning id)"
            " update {undo} u set verdict = 'done' from w where w.id = u.id"
        ).format(
            table=stage.relation, undo=UNDO, natives=AS_NATIVES, lines=lines(some),
            names=sql.SQL(", ").join(sql.Identifier(c.name) for c in columns),
            values=sql.SQL(", ").join(restored(sql.SQL("u.before"), c) for c in columns),
        )  # fmt: skip

    refuse(stage, try_each(stage, attempt))
    _finish(stage, sql.SQL("row_xid is null"))


def _finish(stage: Stage, part: sql.SQL) -> None:
    """Mark as refused the lines that were tried without an error and still were not done: a trigger left them out."""
    stage.connection.execute(
        sql.SQL("update {} set verdict = 'refused' where verdict = 'ours' and {}").format(UNDO, part)
    )

"""Taking back what the entries of a stage wrote: put columns back, delete, insert again.

A row that the target refuses, or that something refers to, stays as it is and gets a verdict; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import psycopg
from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import table
from hybrid_sync.postgres import is_row_state
from hybrid_sync.target.images import restored
from hybrid_sync.target.native import AS_NATIVES, write
from hybrid_sync.target.park import spaces, unique_indexes
from hybrid_sync.target.undo_stage import UNDO, Stage

Attempt = Callable[[int, int], sql.Composed]
"""The statement that undoes the staged lines first..last and gives them the verdict `done`."""


def restore(stage: Stage) -> None:
    """Put the columns of the before-images back."""
    assignments = [
        sql.SQL("{} = {}").format(sql.Identifier(c.name), restored(sql.SQL("u.before"), c))
        for c in stage.columns
        if c.name != "id"
    ]

    def attempt(first: int, last: int) -> sql.Composed:
        return sql.SQL(
            "with w as (update {table} t set {assignments} from {undo} u, {natives}"
            " where t.id = u.id and u.row_xid is not null and {lines} returning t.id)"
            " update {undo} u set verdict = 'done' from w where w.id = u.id"
        ).format(
            table=stage.relation, assignments=sql.SQL(", ").join(assignments), undo=UNDO, natives=AS_NATIVES,
            lines=_lines(first, last),
        )  # fmt: skip

    if not assignments:  # the columns have been dropped since: nothing is left to put back
        stage.connection.execute(sql.SQL("update {} set verdict = 'already' where verdict = 'ours'").format(UNDO))
        return
    _refuse(stage, _halve(stage, attempt))
    _swap(stage, attempt)
    _finish(stage, sql.SQL("row_xid is not null"))


def delete(stage: Stage, catalog: Catalog) -> None:
    """Delete what the entries inserted, unless a row refers to it that is not deleted with it."""
    _keep_referred(stage, catalog)

    def attempt(first: int, last: int) -> sql.Composed:
        return sql.SQL(
            "with w as (delete from {table} t using {undo} u, {natives} where t.id = u.id and {lines} returning t.id)"
            " update {undo} u set verdict = 'done' from w where w.id = u.id"
        ).format(table=stage.relation, undo=UNDO, natives=AS_NATIVES, lines=_lines(first, last))

    _refuse(stage, _halve(stage, attempt))
    _finish(stage, sql.SQL("true"))


def insert(stage: Stage) -> None:
    """Insert again what the entries deleted, under its old id."""
    columns = stage.columns

    def attempt(first: int, last: int) -> sql.Composed:
        return sql.SQL(
            "with w as (insert into {table} ({names}) select {values} from {undo} u, {natives}"
            " where u.row_xid is null and {lines} returning id)"
            " update {undo} u set verdict = 'done' from w where w.id = u.id"
        ).format(
            table=stage.relation, undo=UNDO, natives=AS_NATIVES, lines=_lines(first, last),
            names=sql.SQL(", ").join(sql.Identifier(c.name) for c in columns),
            values=sql.SQL(", ").join(restored(sql.SQL("u.before"), c) for c in columns),
        )  # fmt: skip

    _refuse(stage, _halve(stage, attempt))
    _finish(stage, sql.SQL("row_xid is null"))


def _lines(first: int, last: int) -> sql.Composed:
    return sql.SQL("u.verdict = 'ours' and u.n between {} and {}").format(sql.Literal(first), sql.Literal(last))


# --- one refused row costs that row ------------------------------------------------------------------------------

_TWINS = ("23505", "23P01")
"""Unique and exclusion violations: the value may be one that another line of the stage is about to give up."""


class Refusal(NamedTuple):
    """What the target said of one line."""

    line: int
    sqlstate: str | None
    constraint: str | None


def _finish(stage: Stage, part: sql.SQL) -> None:
    """What nobody refused and still was not done, a trigger of the target left out without an error."""
    stage.connection.execute(
        sql.SQL("update {} set verdict = 'refused' where verdict = 'ours' and {}").format(UNDO, part)
    )


def _halve(stage: Stage, attempt: Attempt) -> list[Refusal]:
    connection = stage.connection
    row = connection.execute(sql.SQL("select coalesce(max(n), 0) from {}").format(UNDO)).fetchone()
    waiting = [(1, int(row[0]))] if row and row[0] else []
    refused: list[Refusal] = []
    while waiting:
        first, last = waiting.pop()
        try:
            with connection.transaction():  # a savepoint, whose own transaction id marks these rows
                write(connection, attempt(first, last))
        except psycopg.Error as error:
            if not is_row_state(error.sqlstate):
                raise
            if first == last:
                refused.append(Refusal(first, error.sqlstate, error.diag.constraint_name))
            else:
                middle = (first + last) // 2
                waiting += [(middle + 1, last), (first, middle)]
    return refused


def _refuse(stage: Stage, refused: Iterable[Refusal]) -> None:
    for line, sqlstate, constraint in refused:
        stage.connection.execute(
            sql.SQL("update {} set verdict = 'refused', sqlstate = {}, constraint_name = {} where n = {}").format(
                UNDO, sql.Literal(sqlstate), sql.Literal(constraint), sql.Literal(line)
            )
        )


class _Undone(Exception):
    """Lines were refused while others stood parked: everything since the savepoint is undone."""


def _swap(stage: Stage, attempt: Attempt) -> None:
    """Lines that want each other's unique values: all moved aside, then all set; without those refused even so."""
    again = sql.SQL("update {} set verdict = 'ours' where verdict = 'refused' and sqlstate = any({})").format(
        UNDO, sql.Literal(list(_TWINS))
    )
    contested = stage.connection.execute(again).rowcount
    while contested:
        refused: list[Refusal] = []
        try:
            with stage.connection.transaction():
                _park(stage)
                refused = _halve(stage, attempt)
                if refused:
                    raise _Undone
            return
        except _Undone:
            _refuse(stage, refused)
            contested -= len(refused)


def _park(stage: Stage) -> None:
    restoring = {column.name: column for column in stage.columns}
    for index in unique_indexes(stage.connection, stage.relation):
        for column, value in spaces(index, [restoring[c] for c in index.columns if c in restoring]):
            try:
                with stage.connection.transaction():
                    write(
                        stage.connection,
                        sql.SQL(
                            "update {} t set {} = {} from (select id, n as hybrid_sync_n from {}"
                            " where verdict = 'ours') s, {} where s.id = t.id"
                        ).format(stage.relation, sql.Identifier(column), value, UNDO, AS_NATIVES),
                    )
                break
            except psycopg.Error as error:
                if not is_row_state(error.sqlstate):
                    raise


# --- what refers to a row ------------------------------------------------------------------------------------------


def _keep_referred(stage: Stage, catalog: Catalog) -> None:
    """Keep rows that others refer to, and then those that the kept ones refer to."""
    name = stage.entity.entity
    children = {
        (child.target, column)
        for child in catalog.entities.values()
        for source in child.sources.values()
        for column, reference in source.references.items()
        if any(parent.to == name for parent in reference.parents)
    }
    kept = 1
    while kept:
        kept = stage.connection.execute(
            sql.SQL(
                "update {undo} u set verdict = 'referenced', constraint_name = r.by_constraint"
                " from hybrid_sync.referred({relation}::regclass,"
                " array(select id from {undo} where verdict = 'ours')) r where r.id = u.id and u.verdict = 'ours'"
            ).format(undo=UNDO, relation=sql.Literal(stage.relation.as_string(stage.connection)))
        ).rowcount
        for child, column in sorted(children):
            kept += _keep_for(stage, child, column)


def _keep_for(stage: Stage, child: str, column: str) -> int:
    """References of the catalog count even where the target declares no foreign key."""
    return stage.connection.execute(
        sql.SQL(
            "update {undo} u set verdict = 'referenced' from {child} c where u.verdict = 'ours' and c.{column} = u.id"
            " and not ({same} and c.id in (select id from {undo} where verdict = 'ours'))"
        ).format(
            undo=UNDO,
            child=table(child),
            column=sql.Identifier(column),
            same=sql.Literal(table(child) == stage.relation),
        )
    ).rowcount

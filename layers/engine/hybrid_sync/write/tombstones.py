"""Rows that are marked as deleted, known by a tombstone: which they are, and what an undo makes of their marks."""

from __future__ import annotations

from psycopg import sql

from hybrid_sync.postgres import Connection, Question


def is_marked(entity: str, source: str, key: sql.Composable) -> sql.Composed:
    """The condition that the row of the legacy key in the array expression `key` is marked as deleted."""
    return sql.SQL(
        "exists (select from hybrid_sync.tombstone d where d.entity = {} and d.source = {} and d.ended_run is null"
        " and d.key = {})"
    ).format(sql.Literal(entity), sql.Literal(source), key)


def is_any_marked(entity: str, source: str, key: sql.Composable) -> sql.Composed:
    """`is_marked` where many rows are asked about.

    A subquery that is hashed whatever the planner believes: a join with the tombstones would be planned by the
    statistics of a moment at which this run had not written them.
    """
    return sql.SQL(
        "(({} in (select d.key from hybrid_sync.tombstone d where d.entity = {} and d.source = {}"
        " and d.ended_run is null)) is true)"
    ).format(key, sql.Literal(entity), sql.Literal(source))


def ask_marked(entity: str, source: str) -> Question[bool]:
    """Whether any row is marked: mostly none is, and then no query need look for them."""
    return Question(
        "select exists (select from hybrid_sync.tombstone where entity = %s and source = %s and ended_run is null)",
        (entity, source),
        lambda found: bool(found.fetchall()[0][0]),
    )


def follow_undo(
    connection: Connection, undone: str, rollback: str, entity: str, source: str, keys: sql.Composable
) -> None:
    """Bring tombstones in step with an undo of the rows in the query `keys`: the run's marks are off, what it had
    brought back is marked again."""
    place = sql.SQL("entity = {} and source = {} and key in ({})").format(
        sql.Literal(entity), sql.Literal(source), keys
    )
    connection.execute(
        sql.SQL(
            "update hybrid_sync.tombstone set"
            " ended_run = case when ended_run is null then {rollback} end,"
            " ended_at = case when ended_run is null then clock_timestamp() end"
            " where {place} and ((run_id = {undone} and ended_run is null) or ended_run = {undone})"
        ).format(rollback=sql.Literal(rollback), undone=sql.Literal(undone), place=place)
    )

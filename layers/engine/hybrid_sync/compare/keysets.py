"""Sets of keys inside a statement, at the same cost whatever the planner believes of the tables."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from hybrid_sync.contracts import Key
from hybrid_sync.postgres import Connection

_FEW = 20_000
_BYTES_OF_A_KEY = 200


def among(columns: Sequence[sql.Composable], keys: Sequence[Key]) -> sql.Composable:
    """One of these keys: a subquery that is hashed; IS TRUE keeps the planner from making a join of it."""
    if not keys:
        return sql.SQL("false")
    return sql.SQL("((({}) in ({})) is true)").format(sql.SQL(", ").join(columns), _listed(columns, keys))


def but(columns: Sequence[sql.Composable], keys: Sequence[Key]) -> sql.Composable:
    """Not one of these keys: a subquery, because PostgreSQL before 15 walks a list for every row but hashes this."""
    if not keys:
        return sql.SQL("true")
    return sql.SQL("({}) not in ({})").format(sql.SQL(", ").join(columns), _listed(columns, keys))


def make_room(connection: Connection, keys: int) -> None:
    """Let the transaction hash so many keys: beyond `work_mem` a subquery is walked for every row instead."""
    if keys > _FEW:
        megabytes = max(64, keys * _BYTES_OF_A_KEY >> 20)
        connection.execute(sql.SQL("set local work_mem = {}").format(sql.Literal(f"{megabytes}MB")))


def _listed(columns: Sequence[sql.Composable], keys: Sequence[Key]) -> sql.Composed:
    arrays = sql.SQL(", ").join(
        sql.SQL("{}::int8[]").format(sql.Literal([key[i] for key in keys])) for i in range(len(columns))
    )
    return sql.SQL("select * from unnest({})").format(arrays)

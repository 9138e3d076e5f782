"""What the engine's idle run and its check are held against: the least that answers the same question by hand."""

from __future__ import annotations

import sys

from bench.peers.measure import Job
from bench.peers.peer import Does, Peer, Phase, Place
from bench.peers.tables import TABLES, Table

_COMMAND = (sys.executable, "-m", "bench.peers.sql_job")
_HASH = "select count(*), sum(('x' || left(md5(v::text), 16))::bit(64)::bigint) from ({}) v"


def _scan(place: Place) -> Job:
    """Every legacy table once, with the condition that finds what is younger than a fence."""
    fence = "(select pg_snapshot_xmin(pg_current_snapshot())::text::xid)"
    statements = [f"select count(*) from {t.name} where age(xmin) between 0 and age({fence})" for t in TABLES]
    return Job(_COMMAND, {"sessions": [{"dsn": place.legacy, "statements": statements}]})


def _compare(place: Place) -> Job:
    """A sum of md5 over the rows of each table, on both sides at the same time."""
    zone = "set timezone = 'UTC'"
    legacy = [zone, *(_HASH.format(_in_legacy(table)) for table in TABLES)]
    target = [zone, *(_HASH.format(_in_target(table)) for table in TABLES)]
    sessions = [{"dsn": place.legacy, "statements": legacy}, {"dsn": place.target, "statements": target}]
    return Job(_COMMAND, {"sessions": sessions, "equal": True})


def _in_legacy(table: Table) -> str:
    return f"select r.id, {', '.join(column.in_sql() for column in table.columns)} from {table.name} r"


def _in_target(table: Table) -> str:
    """References as legacy's numbers again."""
    values, joins = ["r.legacy_id"], []
    for n, column in enumerate(table.columns):
        values.append(f"p{n}.legacy_id" if column.to else f"r.{column.name}")
        if column.to:
            joins.append(f" left join {column.to} p{n} on p{n}.id = r.{column.name}")
    return f"select {', '.join(values)} from {table.name} r{''.join(joins)} where r.legacy_id is not null"


SCAN = Peer("fence_scan", "one scan with the fence's condition", Does(), {Phase.idle: _scan}, beside="engine")
MD5 = Peer("md5", "md5 by hand over both sides", Does(), {Phase.check: _compare}, beside="engine")

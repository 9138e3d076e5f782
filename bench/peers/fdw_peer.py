"""What a strong database administrator does by hand: postgres_fdw, an id map in a table, INSERT … SELECT (b)."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from bench.peers import targets
from bench.peers.measure import Job
from bench.peers.peer import Does, Peer, Phase, Place
from bench.peers.tables import NUMBER, TABLES, Table

_ID_MAP = "create table id_map (entity smallint, legacy_id int, id uuid not null, primary key (entity, legacy_id));"


def _job(place: Place, *, changes: bool) -> Job:
    statements = [*_connected(place), *(one for table in TABLES for one in _carried(table, changes=changes))]
    return Job(
        (sys.executable, "-m", "bench.peers.sql_job"),
        {"sessions": [{"dsn": place.target, "statements": statements}]},
    )


def _connected(place: Place) -> Iterator[str]:
    """Legacy's tables as foreign ones in the schema `legacy`."""
    parts = conninfo_to_dict(place.legacy)
    yield "create extension if not exists postgres_fdw"
    yield "drop server if exists legacy cascade"
    server = sql.SQL(
        "create server legacy foreign data wrapper postgres_fdw"
        " options (host {}, port {}, dbname {}, fetch_size '10000')"
    ).format(parts["host"], str(parts["port"]), parts["dbname"])
    yield server.as_string()
    user = sql.SQL("create user mapping for current_user server legacy options (user {}, password {})")
    yield user.format(parts["user"], parts["password"]).as_string()
    yield "drop schema if exists legacy cascade"
    yield "create schema legacy"
    yield "import foreign schema public from server legacy into legacy"


def _carried(table: Table, *, changes: bool) -> Iterator[str]:
    """A table in one transaction; of changes, what is younger than what the target has."""
    yield "begin"
    source = f"legacy.{table.name}"
    if changes:
        youngest = f"(select max(updated_at) from {table.name})"
        yield f"create temp table changed on commit drop as select * from {source} where updated_at >= {youngest}"
        yield "analyze changed"
        source = "changed"
    number = NUMBER[table.name]
    yield f"insert into id_map select {number}, id, gen_random_uuid() from {source} on conflict do nothing"
    if not changes:
        yield "analyze id_map"
    names = [column.name for column in table.columns]
    joined = " ".join(
        f"left join id_map m{n} on m{n}.entity = {NUMBER[column.to]} and m{n}.legacy_id = r.{column.name}"
        for n, column in enumerate(table.columns) if column.to
    )  # fmt: skip
    values = [f"m{n}.id" if column.to else column.in_sql() for n, column in enumerate(table.columns)]
    updates = ", ".join(f"{name} = excluded.{name}" for name in names)
    yield (
        f"insert into {table.name} (id, legacy_id, {', '.join(names)}) select me.id, r.id, {', '.join(values)}"
        f" from {source} r join id_map me on me.entity = {number} and me.legacy_id = r.id {joined}"
        f" on conflict (legacy_id) do update set {updates}"
    )
    yield "commit"


FDW = Peer(
    "fdw", "postgres_fdw by hand (b)", Does(ids=True, references=True, constraints=True),
    {Phase.first: lambda place: _job(place, changes=False), Phase.delta: lambda place: _job(place, changes=True)},
    lambda: f"{targets.with_ids()}\n{_ID_MAP}",
)  # fmt: skip

"""`python -m tests.drill.statistics --scale 0.1`: a week under statistics of a moment when our tables held one row.

Two targets are synced from the same legacy.  In one our tables keep the statistics of one row, as they do while a run
fills them faster than autovacuum looks; in the other they are analysed before every step.  What each step touches, in
shared buffers, may differ by a factor of three at most: no statement may have a plan that only good statistics save.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from hybrid_sync.catalog.load import load
from hybrid_sync.schema.install import install
from hybrid_sync_cli.flow.execution import Delivery
from hybrid_sync_cli.sample import generate, mutate
from hybrid_sync_cli.stack import home, supabase
from hybrid_sync_cli.stack.postgres import Cluster
from tests.drill.__main__ import servers
from tests.engine.worlds import EngineWorld, execution, functions_of, run
from tests.flow.conduct import conduct

MOST = 3.0
_FLOOR = 5_000
"""Buffers (40 MB) below which a step's plan does not matter."""
_OTHERS = """
select count(*) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""
_TABLES = """
select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'hybrid_sync' and c.relkind = 'r' and c.relname <> 'migration'
"""
_MAPPED = "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'public'"

Touched = Counter[tuple[str, str]]
"""(step, entity) -> shared buffers."""


class Meter:
    """What is touched in one database, read from the server's own counts."""

    def __init__(self, dsn: str, *, fresh: bool) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._fresh = fresh
        self.touched: Touched = Counter()

    def run(self, world: EngineWorld, run_id: str, **request: Any) -> None:
        """A run of which every step is weighed."""
        functions = functions_of(world)

        def weighed(delivery: Delivery) -> Any:
            self._analyse()
            before = self._read()
            try:
                return functions(delivery)
            finally:
                world.pool.close()
                entity = str((delivery.payload or {}).get("entity") or "")
                self.touched[delivery.function, entity] += self._read() - before

        conduct(execution(world, run_id, **request), weighed)

    def _analyse(self) -> None:
        """The mapped tables always, which autovacuum would do between two runs; ours where they are to be fresh."""
        if self._fresh:
            self._connection.execute("analyze")
        else:
            for (table,) in self._connection.execute(_MAPPED).fetchall():
                self._connection.execute(sql.SQL("analyze {}").format(sql.SQL(table)))
        # What analyze has touched is counted now, and not in the middle of the step.
        self._connection.execute("select pg_stat_force_next_flush()")

    def _read(self) -> int:
        # A backend hands its counts over when it ends, which every step's do; it is listed until it has.
        while self._connection.execute(_OTHERS).fetchone() != (0,):
            time.sleep(0.005)
        self._connection.execute("select pg_stat_clear_snapshot()")
        row = self._connection.execute(
            "select sum(heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0)"
            " + coalesce(toast_blks_hit + toast_blks_read, 0))::int8 from pg_statio_user_tables"
        ).fetchone()
        assert row is not None, "an aggregate is one row"
        return int(row[0] or 0)


def freeze(dsn: str) -> None:
    """Our tables get the statistics of one row, and keep them."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for (table,) in connection.execute(_TABLES).fetchall():
            relation = sql.SQL(table)
            connection.execute(sql.SQL("alter table {} set (autovacuum_enabled = false)").format(relation))
            with connection.transaction():
                connection.execute("set local session_replication_role = replica")
                _put_one_row(connection, table)
            connection.execute(sql.SQL("analyze {}").format(relation))
            connection.execute(sql.SQL("delete from {}").format(relation))


def _put_one_row(connection: psycopg.Connection[Any], table: str) -> None:
    columns = connection.execute(
        "select attname, format_type(atttypid, atttypmod), pg_get_constraintdef(k.oid) from pg_attribute a"
        " left join pg_constraint k on k.conrelid = a.attrelid and k.contype = 'c' and k.conkey = array[a.attnum]"
        " where attrelid = %s::regclass and attnum > 0 and not attisdropped and attidentity = ''",
        (table,),
    ).fetchall()
    names = sql.SQL(", ").join(sql.Identifier(name) for name, _, _ in columns)
    values = sql.SQL(", ").join(
        sql.SQL("{}::{}").format(sql.Literal(_value(kind, check)), sql.SQL(kind)) for _, kind, check in columns
    )
    connection.execute(sql.SQL("insert into {} ({}) values ({})").format(sql.SQL(table), names, values))


def _value(kind: str, check: str | None) -> str:
    """Any value that the column takes: of a list of words the first."""
    if check is not None and "'" in check:
        return check.split("'")[1]
    if kind.endswith("[]"):
        return "{}"
    by_kind = {
        "boolean": "false", "jsonb": "{}", "uuid": "00000000-0000-0000-0000-000000000000", "xid": "3",
        "timestamp with time zone": "now", "text": "x",
    }  # fmt: skip
    return by_kind.get(kind, "1")


def compare(legacy: Cluster, target: Cluster, password: str, scale: float, seed: int) -> dict[bool, Touched]:
    """A week in two targets; what each of its steps touched, by whether the statistics were fresh."""
    catalog = load(home.project_root() / "layers" / "catalog")
    generate(legacy.dsn(), target.dsn(user=supabase.ADMIN, password=password), scale, seed)
    touched: dict[bool, Touched] = {}
    made: dict[bool, tuple[EngineWorld, str]] = {}
    for fresh, name in ((True, "fresh"), (False, "stale")):
        with psycopg.connect(target.dsn("template1"), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {} template postgres").format(sql.Identifier(name)))
        supabase.bootstrap(target.dsn(name), admin_password=password, authenticator_password=password)
        world = EngineWorld(
            catalog, legacy.dsn(), install(target.dsn(name, supabase.ADMIN, password), password, catalog)
        )
        if not fresh:
            freeze(target.dsn(name))
        run(world, "first")
        made[fresh] = world, target.dsn(name)
    mutate(legacy.dsn(), seed, 0.01)
    for fresh, (world, dsn) in made.items():
        meter = Meter(dsn, fresh=fresh)
        meter.run(world, "second")
        meter.run(world, "third", profile="daily")
        touched[fresh] = meter.touched
    return touched


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drill.statistics", description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1, help="of the sample world (default: 0.1)")
    parser.add_argument("--seed", type=int, default=1, help="(default: 1)")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="drill-", dir=home.directory()) as folder,
        servers(Path(folder)) as (legacy, target, password),
    ):
        touched = compare(legacy, target, password, options.scale, options.seed)
    ratios = {
        step: buffers / max(touched[True][step], 1)
        for step, buffers in touched[False].items()
        if max(buffers, touched[True][step]) > _FLOOR
    }
    for step, ratio in sorted(ratios.items(), key=lambda item: -item[1])[:12]:
        print(f"{step[0]} {step[1]}: {touched[False][step]} against {touched[True][step]} buffers, {ratio:.2f} x")
    worst = max(ratios.values(), default=1.0)
    print(f"STATISTICS steps={len(touched[False])} weighed={len(ratios)} worst={worst:.2f}")
    return 0 if worst <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())

"""Six small tables that refer to each other, on both sides, reached through proxies that count waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.engine.small import small_world
from tests.engine.wait_counter import WaitCounter

ROWS = 600
"""In each table: a bucket and a little more."""

_LEGACY = """
create table office (id int primary key, name text not null);
create table customer (id int primary key, office_id int not null, name text not null);
create table product (id int primary key, title text not null);
create table purchase (id int primary key, customer_id int not null, note text not null);
create table line (id int primary key, purchase_id int not null, product_id int not null, quantity int not null);
create table payment (
  id int primary key, purchase_id int not null, amount numeric(10,2) not null, paid boolean not null);
insert into office select i, 'office ' || i from generate_series(1, {rows}) i;
insert into customer select i, i, 'customer ' || i from generate_series(1, {rows}) i;
insert into product select i, 'product ' || i from generate_series(1, {rows}) i;
insert into purchase select i, i, 'purchase ' || i from generate_series(1, {rows}) i;
insert into line select i * 3, i, i, 1 from generate_series(1, {rows}) i;
insert into payment select i, i, i / 4.0, i % 2 = 0 from generate_series(1, {rows}) i;
"""
_TARGET = """
create table offices (id uuid primary key, legacy_id bigint unique, name text not null);
create table customers (
  id uuid primary key, legacy_id bigint unique, office_id uuid not null references offices, name text not null);
create table products (id uuid primary key, legacy_id bigint unique, title text not null);
create table purchases (
  id uuid primary key, legacy_id bigint unique, customer_id uuid not null references customers, note text not null);
create table lines (
  id uuid primary key, legacy_id bigint unique, purchase_id uuid not null references purchases,
  product_id uuid not null references products, quantity int not null);
create table payments (
  id uuid primary key, legacy_id bigint unique, purchase_id uuid not null references purchases,
  amount numeric(10,2) not null, paid boolean not null);
"""


def _entity(table: str, columns: tuple[str, ...], parents: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    references = {
        f"{parent}_id": {"to": entity, "key": f"t.{parent}_id", "required": True}
        for parent, entity in (parents or {}).items()
    }
    source = {"from": f"{table} t", "key": {"legacy_id": "t.id"}, "columns": {c: f"t.{c}" for c in columns}}
    return {
        "entity": f"{table}s", "target": f"{table}s", "on_delete": {"policy": "hard"}, **more,
        "sources": {table: {**source, **({"references": references} if references else {})}},
    }  # fmt: skip


ENTITIES = (
    _entity("office", ("name",)),
    _entity("customer", ("name",), {"office": "offices"}),
    _entity("product", ("title",)),
    _entity("purchase", ("note",), {"customer": "customers"}),
    _entity("line", ("quantity",), {"purchase": "purchases", "product": "products"}),
    _entity("payment", ("amount", "paid"), {"purchase": "purchases"},
            money=[{"column": "amount", "constant_currency": "USD", "status": "paid"}]),
)  # fmt: skip


class Counted:
    """A world over the six tables whose connections pass a counter on each side."""

    def __init__(self, legacy_dsn: str, target_dsn: str) -> None:
        self._admins = {"legacy": legacy_dsn, "target": target_dsn}
        self.world = small_world(legacy_dsn, target_dsn, _LEGACY.format(rows=ROWS), _TARGET, *ENTITIES)
        for dsn in self._admins.values():
            self._execute(dsn, "vacuum analyze")
        self.legacy = self._count_on("legacy_dsn")
        self.target = self._count_on("target_dsn")

    def _count_on(self, name: str) -> WaitCounter:
        dsn = getattr(self.world, name)
        parts = conninfo_to_dict(dsn)
        counter = WaitCounter(str(parts["host"]), int(str(parts["port"])))
        setattr(self.world, name, make_conninfo(dsn, host="127.0.0.1", port=counter.port))
        return counter

    def change(self, statement: str) -> None:
        """Write to legacy as a person would."""
        self._execute(self._admins["legacy"], statement)

    def mixed(self, run_id: str) -> str:
        """New, changed and unchanged rows of lines in three buckets, for a run of this name."""
        self.change(
            "insert into line select id + 1, purchase_id, product_id, 2 from line where id % 50 < 5;"
            " update line set quantity = quantity + 1 where id % 50 in (10, 20, 30);"
            " update line set quantity = quantity where id % 50 in (15, 25, 35)"
        )
        return run_id

    def take(self) -> None:
        """Count anew on both sides."""
        self.legacy.take()
        self.target.take()

    def rows_read(self) -> tuple[int, int]:
        """Rows of the mapped tables that legacy and target have read so far, once every session has ended."""
        self.world.pool.close()
        return self._read("legacy"), self._read("target")

    def per_row(self, before: tuple[int, int], after: tuple[int, int]) -> tuple[float, float]:
        """How often each row was read: every relation counts once for each entity that names it."""
        named = sum(
            1 + sum(len(r.parents) for r in source.references.values())
            for entity in self.world.catalog.entities.values() for source in entity.sources.values()
        )  # fmt: skip
        return tuple((b - a) / (named * ROWS) for a, b in zip(before, after, strict=True))  # type: ignore[return-value]

    def _read(self, side: str) -> int:
        with psycopg.connect(self._admins[side], autocommit=True) as admin:
            # A session's numbers are written down before it leaves pg_stat_activity.
            while admin.execute(
                "select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
                " and backend_type = 'client backend' limit 1"
            ).fetchone():
                pass
            row = admin.execute(
                "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int8 from pg_stat_user_tables"
                " where schemaname = 'public'"
            ).fetchone()
            assert row is not None
            return int(row[0])

    @staticmethod
    def _execute(dsn: str, statement: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(sql.SQL(statement))  # type: ignore[arg-type]

    def close(self) -> None:
        self.legacy.close()
        self.target.close()


@contextmanager
def counted(legacy_dsn: str, target_dsn: str) -> Iterator[Counted]:
    """The world, for as long as its proxies are needed; both databases are empty before."""
    six = Counted(legacy_dsn, target_dsn)
    try:
        yield six
    finally:
        six.close()

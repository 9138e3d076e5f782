"""Three tables of which two grow: one with an integer key, money and references, one with a composite key."""

from __future__ import annotations

import psycopg

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity

ROWS_PER_CUSTOMER = 10

_LEGACY = """
create table customer (id int primary key, name text not null);
create table purchase (
  id int primary key, customer_id int not null, note text not null, price numeric(10,2) not null, paid boolean not null
);
create table membership (customer_id int, club_id int, level text not null, primary key (customer_id, club_id));
"""

_TARGET = """
create table customers (id uuid primary key, legacy_id bigint unique, name text not null);
create table purchases (
  id uuid primary key, legacy_id bigint unique, customer_id uuid not null references customers, note text not null,
  price numeric(10,2) not null, paid boolean not null
);
create table memberships (
  id uuid primary key, legacy_customer_id bigint, legacy_club_id bigint, customer_id uuid not null references customers,
  level text not null, unique (legacy_customer_id, legacy_club_id)
);
"""

_FILL = """
insert into customer select i, 'customer ' || i from generate_series(0, %(rows)s / %(per)s) i;
insert into purchase select i, i / %(per)s, repeat(md5(i::text), 3), i %% 1000 / 4.0, i %% 3 = 0
  from generate_series(1, %(rows)s) i;
insert into membership select i / %(per)s, i %% %(per)s, md5(i::text) from generate_series(1, %(rows)s) i;
"""

_HARD = {"policy": "hard"}

CATALOG = Catalog(
    {
        "customers": Entity.model_validate(
            {
                "entity": "customers", "target": "customers",
                "sources": {
                    "customer": {
                        "from": "customer c", "key": {"legacy_id": "c.id"}, "columns": {"name": "c.name"},
                    }
                },
            }
        ),
        "purchases": Entity.model_validate(
            {
                "entity": "purchases", "target": "purchases", "on_delete": _HARD,
                "sources": {
                    "purchase": {
                        "from": "purchase p", "key": {"legacy_id": "p.id"},
                        "references": {"customer_id": {"to": "customers", "key": "p.customer_id", "required": True}},
                        "columns": {name: f"p.{name}" for name in ("note", "price", "paid")},
                    }
                },
                "money": [{"column": "price", "constant_currency": "USD", "status": "paid"}],
            }
        ),
        "memberships": Entity.model_validate(
            {
                "entity": "memberships", "target": "memberships", "on_delete": _HARD,
                "sources": {
                    "membership": {
                        "from": "membership m",
                        "key": {"legacy_customer_id": "m.customer_id", "legacy_club_id": "m.club_id"},
                        "references": {"customer_id": {"to": "customers", "key": "m.customer_id", "required": True}},
                        "columns": {"level": "m.level"},
                    }
                },
            }
        ),
    }
)  # fmt: skip

GROWING = ("purchases", "memberships")

# One row in a hundred leaves, which is below the delete guard's two; so many change or are lost that batches are full.
LEAVE = """
delete from purchase where id % 100 = 7;
delete from membership where (customer_id * 10 + club_id) % 100 = 7;
update purchase set note = 'edited ' || id where id % 4 = 0;
update membership set level = 'edited' where (customer_id * 10 + club_id) % 4 = 0;
"""
LOSE = """
delete from purchases where legacy_id % 20 = 9;
delete from memberships where (legacy_customer_id * 10 + legacy_club_id) % 20 = 9;
update purchases set note = 'native ' || legacy_id where legacy_id % 100 = 10;
"""


def create(legacy_dsn: str, target_dsn: str, rows: int) -> None:
    """Legacy with so many rows in each of two tables; the target's tables, empty."""
    with psycopg.connect(legacy_dsn, autocommit=True) as legacy:
        legacy.execute(_LEGACY.encode())
        for statement in _FILL.strip().split(";\n"):
            legacy.execute(statement.encode(), {"rows": rows, "per": ROWS_PER_CUSTOMER})
        legacy.execute("vacuum analyze")
    execute(target_dsn, _TARGET)


def execute(dsn: str, statements: str) -> None:
    """Run them as the database's owner, committed at once."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statements.encode())

"""The benchmark's world: a legacy table with a parent, its twin for the raw copy, and the entity for ours."""

from __future__ import annotations

from importlib import resources

import psycopg

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity

ROWS_PER_PARENT = 8

LEGACY = """
create table dispatch_patient (id serial primary key);
create table dispatch_instruction (
  id serial primary key, patient_id integer not null, status integer not null, number varchar(20) not null,
  price numeric(10,2) not null, notes text not null, complaint text, deleted boolean not null,
  submitted_at timestamptz not null, updated_at timestamptz not null
);
"""

# Both contestants maintain two unique indexes, so that the ratio shows the work on ids and not on indexes.
TARGET = """
create table twin (
  id integer primary key, patient_id integer not null, status integer not null, number varchar(20) not null,
  price numeric(10,2) not null, notes text not null, complaint text, deleted boolean not null,
  submitted_at timestamptz not null, updated_at timestamptz not null
);
create unique index twin_id on twin (id);
create type order_status as enum ('draft', 'open', 'done');
create table patients (id uuid primary key, legacy_id bigint not null unique);
create table orders (
  id uuid primary key, legacy_id bigint not null unique, patient_id uuid not null,
  status order_status not null, number text not null, price numeric(12,2) not null, notes text not null,
  complaint text, deleted boolean not null,
  submitted_at timestamptz not null, updated_at timestamptz not null
);
"""

_PATIENTS = Entity.model_validate(
    {
        "entity": "patients",
        "target": "patients",
        "sources": {"patient": {"from": "dispatch_patient p", "key": {"legacy_id": "p.id"}}},
    }
)

_PLAIN = ("number", "price", "notes", "complaint", "deleted", "submitted_at", "updated_at")

_ORDERS = Entity.model_validate(
    {
        "entity": "orders",
        "target": "orders",
        "sources": {
            "instruction": {
                "from": "dispatch_instruction i",
                "key": {"legacy_id": "i.id"},
                "references": {"patient_id": {"to": "patients", "key": "i.patient_id", "required": True}},
                "columns": {
                    "status": {"enum": "i.status", "values": {0: "draft", 1: "open", 2: "done"}},
                    **{name: f"i.{name}" for name in _PLAIN},
                },
            }
        },
    }
)

CATALOG = Catalog({"patients": _PATIENTS, "orders": _ORDERS})


def create(
    legacy: psycopg.Connection[tuple[object, ...]], target: psycopg.Connection[tuple[object, ...]], rows: int
) -> None:
    """Fill legacy with `rows` orders and their patients, and make the target's empty tables."""
    legacy.execute(LEGACY.encode())
    legacy.execute(
        "insert into dispatch_patient select g from generate_series(1, %s) g", (rows // ROWS_PER_PARENT + 1,)
    )
    legacy.execute(
        """
        insert into dispatch_instruction
        select g, g / %s + 1, g %% 3, 'ORD-' || g, (g %% 100000) / 100.0, repeat(md5(g::text), 3),
               case when g %% 2 = 0 then md5(g::text) end, g %% 50 = 0,
               timestamptz '2024-01-01Z' + make_interval(secs => g),
               timestamptz '2025-01-01Z' + make_interval(secs => g)
        from generate_series(1, %s) g
        """,
        (ROWS_PER_PARENT, rows),
    )
    legacy.execute("vacuum analyze dispatch_instruction")
    target.execute(TARGET.encode())
    folder = resources.files("hybrid_sync.schema") / "migrations"
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".sql"):
            target.execute(file.read_text(encoding="utf-8").encode())
    target.execute("select hybrid_sync.ensure_journal_partition(now())")

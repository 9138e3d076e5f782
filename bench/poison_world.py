"""A legacy table in which a row can be bad in every way that the engine knows, and the target that refuses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import psycopg
from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity


class Kind(NamedTuple):
    """One way to be bad: the reason that the row must get, and the UPDATE of legacy that makes it so."""

    reason: str
    poison: str


KINDS = (
    Kind("unique_violation", "set code = 'code-' || (id - 1)"),
    Kind("check_violation", "set weight = -1"),
    Kind("not_null_violation", "set label = null"),
    Kind("bad_json", "set settings = '{''a'': None}'"),
    Kind("bad_json", r"""set settings = '{"a": "\u0000"}'"""),
    Kind("value_too_long", "set note = repeat('x', 31)"),
    Kind("numeric_out_of_range", "set price = 123456789"),
    Kind("numeric_out_of_range", "set price = 'NaN'"),
    Kind("numeric_scale", "set price = 1.005"),
    Kind("value_too_long", "set lot = 123456789"),
    Kind("numeric_scale", "set ratio = 0.125"),
    Kind("missing_parent", "set shelf_id = 1000000"),
    Kind("unknown_enum", "set kind = 99"),
    Kind("trigger_exception", "set label = 'refuse me'"),
    Kind("trigger_exception", "set label = 'refuse me by name'"),
    Kind("trigger_suppressed", "set label = 'drop me'"),
    Kind("duplicate_key", "set doubled = true"),
    Kind("invalid_encoding", r"set note = convert_from('\xff41'::bytea, 'SQL_ASCII')"),
    Kind("exclusion_violation", "set first = first - 10, last = last - 10"),
    Kind("expression_failed", "set day = 'next week'"),
)

WITHOUT_RANGES = tuple(kind for kind in KINDS if kind.reason != "exclusion_violation")
"""For a table without its exclusion constraint: in its GiST index a row costs the more the more rows there are, whoever
inserts it (plain INSERTs of 60,000 rows 3.8 times those of 20,000)."""

_LEGACY = """
create table shelf (id serial primary key);
create table ware (
  id serial primary key, shelf_id int not null, code text not null, weight int not null, label text, settings text,
  note text, price numeric not null, kind int not null, first int not null, last int not null, day text not null,
  lot int not null, ratio float8 not null, doubled boolean not null default false
);
create table twice (doubled boolean not null, n int not null);
insert into twice values (true, 1), (true, 2), (false, 1);
"""

_TARGET = """
create type ware_kind as enum ('small', 'large');
create table shelves (id uuid primary key, legacy_id bigint unique);
create table wares (
  id uuid primary key, legacy_id bigint unique, shelf_id uuid not null references shelves, code text not null unique,
  weight int not null check (weight > 0), label text not null, settings jsonb, note varchar(30),
  price numeric(10,2) not null, kind ware_kind not null, first int not null, last int not null, day date not null,
  lot varchar(8) not null, ratio numeric(6,2) not null,
  exclude using gist (int4range(first, last) with &&)
);
create function refuse_ware() returns trigger language plpgsql as $$
begin
  if new.label = 'refuse me' then
    raise exception 'no';
  elsif new.label = 'refuse me by name' then
    raise exception using errcode = 'PT403';
  elsif new.label = 'drop me' then
    return null;
  end if;
  return new;
end $$;
create trigger refuse before insert or update on wares for each row execute function refuse_ware();
"""

_FILL = """
insert into ware (shelf_id, code, weight, label, settings, note, price, kind, first, last, day, lot,
                  ratio)
select 1 + i %% 100, 'code-' || i, 1 + i %% 50, 'label ' || i, '{"n": ' || i || '}', 'note ' || i, i %% 1000 / 4.0,
       i %% 2, i * 10, i * 10 + 10, (date '2020-01-01' + i %% 1000)::text, i %% 1000, 0.5
from generate_series(1, %s) i
"""

_COLUMNS = ("code", "weight", "label", "note", "price", "first", "last")

CATALOG = Catalog(
    {
        "shelves": Entity.model_validate(
            {
                "entity": "shelves",
                "target": "shelves",
                "sources": {"shelf": {"from": "shelf s", "key": {"legacy_id": "s.id"}}},
            }
        ),
        "wares": Entity.model_validate(
            {
                "entity": "wares",
                "target": "wares",
                "sources": {
                    "ware": {
                        "from": "ware w",
                        "joins": ["left join twice t on t.doubled = w.doubled"],
                        "key": {"legacy_id": "w.id"},
                        "references": {"shelf_id": {"to": "shelves", "key": "w.shelf_id", "required": True}},
                        "columns": {
                            "settings": {"json": "w.settings"},
                            "kind": {"enum": "w.kind", "values": {0: "small", 1: "large"}},
                            "day": "w.day::date",
                            "lot": {"cast": "w.lot"},
                            "ratio": {"cast": "w.ratio"},
                            **{name: f"w.{name}" for name in _COLUMNS},
                        },
                    }
                },
                "money": [{"column": "price", "constant_currency": "USD"}],
            }
        ),
    }
)


def create(legacy_dsn: str, target_dsn: str, rows: int, every: int, kinds: Sequence[Kind] = KINDS) -> None:
    """Both sides; every `every`-th legacy row is poison, the kinds in turn (0: none is).

    The target has its exclusion constraint where one of the kinds breaks it.
    """
    with psycopg.connect(legacy_dsn, autocommit=True) as legacy:
        legacy.execute(_LEGACY.encode())
        legacy.execute("insert into shelf select i from generate_series(1, 100) i")
        legacy.execute(_FILL, (rows,))
        if every:
            for place, kind in enumerate(kinds):
                statement = sql.SQL("update ware {} where id % {} = 0 and id / {} % {} = {}").format(
                    sql.SQL(kind.poison),
                    *(sql.Literal(n) for n in (every, every, len(kinds), place)),
                )
                legacy.execute(statement)
        legacy.execute("vacuum analyze ware")
    with psycopg.connect(target_dsn, autocommit=True) as target:
        target.execute(_TARGET.encode())
        if all(kind.reason != "exclusion_violation" for kind in kinds):
            target.execute("alter table wares drop constraint wares_int4range_excl")

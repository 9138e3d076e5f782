"""Tables with everything that a first load may drop and must make again, and somebody who looks meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.conftest import Query, _runner
from tests.engine.small import entity, small_world
from tests.engine.worlds import EngineWorld

LEGACY = """
create table owners (id int primary key, name text);
create table things (id int primary key, owner_id int, kind text, size int, next_id int);
insert into owners select n, 'o' || n from generate_series(1, 40) n;
insert into things select n, 1 + n % 40, 'a', n, n + 1 from generate_series(1, 400) n;
"""
TARGET = """
create schema shop;
create table kinds (kind varchar(20) primary key);
insert into kinds values ('a'), ('b');
create table owners (id uuid primary key, legacy_id int unique, name text);
create table shop."Things" (
  id uuid primary key, legacy_id int unique, owner_id uuid not null, kind varchar(20), size int, next_id uuid,
  note varchar(20), tags jsonb,
  constraint "of owner" foreign key (owner_id) references owners on delete cascade deferrable initially deferred,
  constraint kept_kind foreign key (kind) references kinds match full,
  constraint next foreign key (next_id) references shop."Things" on delete set null deferrable);
alter table shop."Things" add constraint loose foreign key (note) references kinds not valid;
alter table owners add first_thing uuid constraint first references shop."Things";
comment on constraint "of owner" on shop."Things" is 'who has ''it''';
create index on owners (first_thing);
create index "by Size" on shop."Things" using btree (size desc nulls last) include (kind) with (fillfactor = 70);
comment on index shop."by Size" is 'the largest first';
create index half on shop."Things" (kind varchar_pattern_ops) where size > 10 and note <> 'x';
create index tagged on shop."Things" using gin (tags);
create index spans on shop."Things" using brin (size);
create index computed on shop."Things" ((size * 2), lower(kind) collate "C");
create index hashed on shop."Things" using hash (note);
alter table shop."Things" cluster on "by Size";
create unique index one_note on shop."Things" (note) where note is not null;
alter table shop."Things" add constraint apart exclude using btree (legacy_id with =);
create index counted on shop."Things" ((size + 1));
alter index shop.counted alter column 1 set statistics 500;
"""
SHAPE = """
select c.oid::regclass::text, pg_get_indexdef(c.oid), i.indisvalid::text, i.indisclustered::text,
       obj_description(c.oid, 'pg_class')
from pg_index i join pg_class c on c.oid = i.indexrelid
where i.indrelid in ('owners'::regclass, 'shop."Things"'::regclass)
union all
select conrelid::regclass::text, conname || pg_get_constraintdef(oid), convalidated::text, condeferred::text,
       obj_description(oid, 'pg_constraint')
from pg_constraint where conrelid in ('owners'::regclass, 'shop."Things"'::regclass)
order by 1, 2
"""
LEFT = "select count(*)::int from hybrid_sync.bulk_part"
ROWS = 'select (select count(*) from owners)::int, (select count(*) from shop."Things")::int'


def things_world(legacy_db: str, target_db: str, owners: str = "bulk") -> EngineWorld:
    parents = {**entity("owners", columns={"name": "a.name"}), "first_load": owners}
    things = {
        **entity(
            "things", columns={"kind": "a.kind", "size": "a.size"},
            references={"owner_id": {"to": "owners", "key": "a.owner_id"},
                        "next_id": {"to": "things", "key": "a.next_id", "deferred": True, "on_missing": "null"}},
        ),
        "target": 'shop."Things"', "first_load": "bulk",
    }  # fmt: skip
    return small_world(legacy_db, target_db, LEGACY, TARGET, parents, things)


@pytest.fixture(name="bulk_world")
def the_world(legacy_db: str, target_db: str) -> EngineWorld:
    return things_world(legacy_db, target_db)


@pytest.fixture(name="target")
def the_target(target_db: str, bulk_world: EngineWorld) -> Query:
    return _runner(target_db)


@pytest.fixture(name="legacy")
def the_legacy(legacy_db: str, bulk_world: EngineWorld) -> Query:
    return _runner(legacy_db)


class Look:
    """At a failpoint: what somebody else sees then."""

    def __init__(self, query: Callable[[], list[tuple[Any, ...]]]) -> None:
        self.query, self.seen = query, list[tuple[Any, ...]]()

    def fire(self, name: str, connections: tuple[Any, ...]) -> None:
        self.seen = self.query()


class Waits:
    """At a failpoint: whether the commit of the transaction there waits for the disk."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def fire(self, name: str, connections: tuple[Any, ...]) -> None:
        self.seen += [row[0] for row in connections[0].execute("show synchronous_commit").fetchall()]


class Do:
    """At a failpoint: what somebody else does then."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def fire(self, name: str, connections: tuple[Any, ...]) -> None:
        self.act()

"""A native row that is certainly the same thing is adopted with its UUID; what is not certain is a failed record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.load import load
from hybrid_sync.catalog.models import Entity
from hybrid_sync.errors import CatalogError
from hybrid_sync.schema.install import install
from hybrid_sync.write.journal import CHANGES
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

LEGACY = """
create table account (id serial primary key, email varchar(80), name text, closed boolean not null default false);
create table guest (id serial primary key, email varchar(80), name text);
insert into account (email, name) values
  ('Ann@Example.org', 'Ann'), ('bob@example.org', 'Bob'), ('cid@example.org', 'Cid'), ('cid@example.org', 'Other Cid'),
  ('dee@example.org', 'Dee'), (null, 'Nobody'), ('eve@example.org', 'Eve'), ('fay@example.org', 'Fay'),
  ('gus@example.org', 'Gus');
insert into guest (email, name) values ('gus@example.org', 'Gus the guest');
"""
TARGET = """
create table people (id uuid primary key, legacy_source text, legacy_id bigint, email text, verified boolean,
                     name text check (name <> 'Fay'), hobby text, unique (legacy_source, legacy_id));
insert into people (id, email, verified, name, hobby) values
  ('00000000-0000-4000-8000-000000000001', 'ann@EXAMPLE.org', true, 'ann', 'chess'),
  ('00000000-0000-4000-8000-000000000002', 'bob@example.org', false, 'not bob', null),
  ('00000000-0000-4000-8000-000000000003', 'cid@example.org', true, 'cid', null),
  ('00000000-0000-4000-8000-000000000004', 'dee@example.org', true, 'dee', null),
  ('00000000-0000-4000-8000-000000000005', 'Dee@example.org', true, 'dee again', null),
  ('00000000-0000-4000-8000-000000000006', null, true, 'nobody', null),
  ('00000000-0000-4000-8000-000000000008', 'fay@example.org', true, 'fay', null),
  ('00000000-0000-4000-8000-000000000009', 'gus@example.org', true, 'gus', null);
"""


def source(table: str) -> dict[str, Any]:
    return {
        "from": f"{table} a",
        "key": {"legacy_id": "a.id"},
        "discriminator": {"legacy_source": table},
        "columns": {"email": {"lower": "a.email"}, "name": "a.name"},
        "rules": [{"exclude": "closed", "when": "a.closed"}] if table == "account" else [],
    }


CATALOG = Catalog(
    {
        "people": Entity.model_validate(
            {
                "entity": "people",
                "target": "people",
                "sources": {"account": source("account"), "guest": source("guest")},
                "adopt": {"by": ["email"], "when": "t.verified"},
            }
        )
    }
)


@pytest.fixture
def world(legacy_db: str, target_db: str) -> EngineWorld:
    with psycopg.connect(legacy_db, autocommit=True) as legacy:
        legacy.execute(LEGACY)
    with psycopg.connect(target_db, autocommit=True) as target:
        target.execute(TARGET)
    return EngineWorld(CATALOG, legacy_db, install(target_db, "only-for-tests", CATALOG))


def native(n: int) -> str:
    return f"00000000-0000-4000-8000-{n:012}"


def test_the_one_verified_native_row_is_adopted_and_keeps_its_uuid_and_its_own_columns(
    world: EngineWorld, target: Query
) -> None:
    run(world, "first")
    assert target("select legacy_source, legacy_id, email, name, hobby from people where id = %s", native(1)) == [
        ("account", 1, "ann@example.org", "Ann", "chess")
    ]
    assert target("select count(*) from people where email = 'ann@example.org'") == [(1,)]
    assert world.id_cache.get("people", "account", 0, [(1,)])[(1,)].hex() == native(1).replace("-", "")


def test_adoption_is_journalled_as_an_update_whose_before_image_has_no_key(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    journalled = target(
        f"select j.operation, j.keys, j.before, j.xid::text = p.xmin::text from {CHANGES.as_string()} j"
        " join people p on p.id = j.id where j.id = %s",
        native(1),
    )
    before = {"legacy_id": None, "legacy_source": None, "email": "ann@EXAMPLE.org", "name": "ann"}
    assert journalled == [("update", [1], before, True)]


def test_an_unverified_native_row_is_left_alone(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    assert target("select legacy_id, name from people where id = %s", native(2)) == [(None, "not bob")]
    assert target("select name from people where legacy_source = 'account' and legacy_id = 2") == [("Bob",)]


def test_what_fits_more_than_one_row_on_either_side_is_ambiguous(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    failed = target("select source, key[1], reason from hybrid_sync.failed_record order by 1, 2")
    assert failed == [
        ("account", 3, "ambiguous_adoption"),  # two of legacy
        ("account", 4, "ambiguous_adoption"),
        ("account", 5, "ambiguous_adoption"),  # two of the target
        ("account", 8, "check_violation"),
        ("account", 9, "ambiguous_adoption"),  # one in each source
        ("guest", 1, "ambiguous_adoption"),
    ]
    left = target("select count(*) from people where id = any(%s) and legacy_id is not null",
                  [native(n) for n in (3, 4, 5, 6, 8, 9)])  # fmt: skip
    assert left == [(0,)]


def test_a_null_adopts_nothing(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    assert target("select name from people where legacy_source = 'account' and legacy_id = 6") == [("Nobody",)]
    assert target("select legacy_id from people where id = %s", native(6)) == [(None,)]


def test_an_adoption_that_the_target_refuses_leaves_the_native_row_as_it_was(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    assert target("select legacy_id, name from people where id = %s", native(8)) == [(None, "fay")]


def test_an_excluded_twin_makes_the_other_one_certain(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first")
    legacy("update account set closed = true where id = 4")
    legacy("delete from guest")
    run(world, "second")
    assert target("select legacy_id, name from people where id = %s", native(3)) == [(3, "Cid")]
    assert target("select legacy_id from people where id = %s", native(9)) == [(9,)]


def test_an_adopted_row_is_an_ordinary_row_from_then_on(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first")
    legacy("update account set email = 'ann@new.org' where id = 1")
    second = run(world, "second")
    assert target("select legacy_id, email from people where id = %s", native(1)) == [(1, "ann@new.org")]
    assert second.total("people")["inserted"] == 0
    before = target(f"select before from {CHANGES.as_string()} j where run_id = 'second' and id = %s", native(1))
    assert set(before[0][0]) == {"legacy_source", "email", "name"}


def test_a_key_that_had_a_uuid_before_adopts_no_other(world: EngineWorld, target: Query) -> None:
    target(
        "insert into hybrid_sync.retired_id (entity, source, key, id, run_id)"
        " values ('people', 'account', '{1}', %s, 'r')",
        native(77),
    )
    run(world, "first")
    assert target("select id::text from people where legacy_source = 'account' and legacy_id = 1") == [(native(77),)]
    assert target("select legacy_id from people where id = %s", native(1)) == [(None,)]


def test_a_new_row_without_a_native_twin_is_inserted(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    assert target("select name from people where legacy_id = 7") == [("Eve",)]


FILE = """\
entity: people
target: people
sources:
  a:
    {from: account a, key: {legacy_id: a.id}, columns: {email: a.email}}
"""


def test_adoption_by_an_address_that_nobody_verified_is_a_mistake_in_the_catalog(tmp_path: Path) -> None:
    file = FILE + "adopt: [email]\n"
    (tmp_path / "people.yaml").write_text(file)
    with pytest.raises(CatalogError, match=r"people.yaml:6: adopt: adoption by email needs `when`"):
        load(tmp_path)


def test_adoption_by_a_column_that_the_catalog_does_not_fill_is_a_mistake(tmp_path: Path) -> None:
    file = FILE + "adopt: [number]\n"
    (tmp_path / "people.yaml").write_text(file)
    with pytest.raises(CatalogError, match=r"adopt\.by: number is not a column"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("ddl", "adopt", "sentence"),
    [
        ("alter table people alter legacy_id set not null", {"by": ["name"]}, "no native row can wait for adoption"),
        (
            "alter table people alter email type numeric using null",
            {"by": ["email"], "when": "t.verified"},
            "cannot adopt by email",
        ),
        ("select 1", {"by": ["name"], "when": "t.proven"}, "does not have what the catalog names"),
    ],
)
def test_a_table_that_cannot_be_adopted_from_is_refused_when_planning(
    world: EngineWorld, target: Query, ddl: str, adopt: dict[str, Any], sentence: str
) -> None:
    target("delete from people")
    target(ddl)
    world.catalog = Catalog(
        {"people": Entity.model_validate({**CATALOG["people"].model_dump(by_alias=True), "adopt": adopt})}
    )
    assert run(world, "first").outcome.status == "failed"
    ((failure,),) = target("select failure from hybrid_sync.run_entity")
    assert failure["code"] == "structure_mismatch"
    assert sentence in failure["text"]

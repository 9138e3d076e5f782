"""A row that legacy cannot compute costs that row: composite keys, dense failures, and a role without PL/pgSQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

READER = "reader_without_plpgsql"


@pytest.fixture
def dividing(world: EngineWorld, legacy: Query) -> EngineWorld:
    """The domain with an expression that fails where a grant's level is zero: 4 of 12 rows."""
    legacy("update grant_of set level = (person_id + right_id) % 3")
    grants = world.catalog["grants"].model_dump(by_alias=True)
    source = next(iter(grants["sources"].values()))
    alias = source["from"]["alias"]
    source["columns"]["level"] = {"cast": f"12 / {alias}.level"}
    world.catalog = Catalog({**world.catalog.entities, "grants": Entity.model_validate(grants)})
    return world


@pytest.fixture
def reader(legacy: Query) -> Iterator[str]:
    """A role that may read and not write PL/pgSQL."""
    legacy(f"create role {READER} login password 'only-for-tests'")
    legacy(f"grant select on all tables in schema public to {READER}")
    legacy("revoke usage on language plpgsql from public")
    yield READER
    legacy(f"drop owned by {READER}")
    legacy(f"drop role {READER}")


def outcome(target: Query) -> tuple[list[Any], list[Any]]:
    failed = target(
        "select key, reason, sqlstate from hybrid_sync.failed_record"
        " where entity = 'grants' and status = 'open' order by 1"
    )
    arrived = target("select legacy_person_id, legacy_right_id, level from grants order by 1, 2")
    return failed, arrived


def expected(legacy: Query) -> tuple[list[Any], list[Any]]:
    failed = legacy(
        "select array[person_id, right_id]::int8[], 'expression_failed', '22012' from grant_of"
        " where level = 0 order by 1"
    )
    return failed, legacy("select person_id, right_id, 12 / level from grant_of where level > 0 order by 1, 2")


def test_exactly_the_rows_that_cannot_be_computed_fail(dividing: EngineWorld, legacy: Query, target: Query) -> None:
    run(dividing, "first")
    assert outcome(target) == expected(legacy)


def test_a_role_without_plpgsql_finds_them_too(
    dividing: EngineWorld, reader: str, legacy: Query, target: Query
) -> None:
    dividing.legacy_dsn = make_conninfo(dividing.legacy_dsn, user=reader, password="only-for-tests")
    run(dividing, "first")
    assert outcome(target) == expected(legacy)


def test_a_row_that_can_be_computed_again_arrives(dividing: EngineWorld, legacy: Query, target: Query) -> None:
    run(dividing, "first")
    legacy("update grant_of set level = 2 where level = 0")
    run(dividing, "second")
    assert outcome(target) == expected(legacy)

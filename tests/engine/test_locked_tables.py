"""A table that somebody else has locked costs its entity, and not the run."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from hybrid_sync import opening
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Half a minute is how long others are waited for."""
    monkeypatch.setitem(opening.TRANSACTION_SETTINGS, "lock_timeout", "500ms")
    opening.opening.cache_clear()
    yield
    opening.opening.cache_clear()


@pytest.mark.parametrize("table", ["remark", "letter"])
def test_a_locked_table_of_legacy_costs_its_entity_alone(
    world: EngineWorld, legacy_db: str, legacy: Query, target: Query, table: str
) -> None:
    run(world, "first")
    legacy("update person set born = '2000-01-01' where id = 1")
    legacy("update remark set body = 'later' where id = 1")
    with psycopg.connect(legacy_db) as owner:
        owner.execute(f"lock table {table} in access exclusive mode".encode())
        done = run(world, "second", profile="daily")
    assert done.outcome.status == "failed"
    assert target(
        "select entity, failure->>'code', failure->>'text' like '%pg_prepared_xacts%' from hybrid_sync.run_entity"
        " where run_id = 'second' and status <> 'verified'"
    ) == [("messages", "contention", True)]
    assert target("select born::text from people where legacy_id = 1") == [("2000-01-01",)]
    assert run(world, "third", profile="daily").outcome.status == "succeeded"
    assert target("select body from messages where legacy_source = 'remark' and legacy_id = 1") == [("later",)]


def test_what_refers_to_a_locked_table_waits_with_it(
    world: EngineWorld, legacy_db: str, legacy: Query, target: Query
) -> None:
    run(world, "first")
    with psycopg.connect(legacy_db) as owner:
        owner.execute("lock table person in access exclusive mode")
        assert run(world, "second", profile="daily").outcome.status == "failed"
    found = dict(
        target("select entity, coalesce(failure->>'code', status) from hybrid_sync.run_entity where run_id = 'second'")
    )
    assert found["people"] == "contention"
    assert found["messages"] == "parent_failed"
    assert found["clinics"] == "verified"
    assert run(world, "third", profile="daily").outcome.status == "succeeded"

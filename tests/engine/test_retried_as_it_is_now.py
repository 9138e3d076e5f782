"""A retry writes by the schema of its own moment, whatever the worker remembers of an earlier delivery."""

from __future__ import annotations

import psycopg
import pytest

from hybrid_sync.contracts import FailureMessage
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.failpoints import FailpointRaised, Raise, armed
from hybrid_sync.steps.retry_failure import retry_failure
from tests.engine.bulk import Do
from tests.engine.small import entity, small_world
from tests.engine.worlds import EngineWorld, run

NARROWER = "alter table public.a alter column v type numeric(12, 1)"
"""The server rounds in silence what a plan of before takes for exact."""
ROWS = "select legacy_id, v::text from public.a"
MESSAGE = FailureMessage(run_id="first", entity="a", source="a", reason="check_violation", keys=((1,),))
RECORDS = "select status, reason, attempts from hybrid_sync.failed_record"
RUNS = "select status from hybrid_sync.run where trigger = 'retry'"


@pytest.fixture
def waiting(legacy_db: str, target_db: str) -> EngineWorld:
    """One row that the target refuses, and that legacy has corrected since."""
    world = small_world(
        legacy_db, target_db,
        "create table a (id int primary key, v numeric(12, 2)); insert into a values (1, -1.25)",
        "create table a (id uuid primary key, legacy_id bigint unique, v numeric(12, 2) check (v > 0))",
        entity(columns={"v": "a.v"}),
    )  # fmt: skip
    assert run(world, "first").outcome.status == "degraded"
    with world.connect_legacy() as legacy:
        legacy.execute("update public.a set v = 1.25")
    return world


def told(world: EngineWorld, question: str) -> list[tuple[object, ...]]:
    with world.connect_target() as target:
        return target.execute(question.encode()).fetchall()


def narrow(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(NARROWER)


def test_a_message_that_is_delivered_again_is_not_written_by_the_plan_of_the_first_delivery(
    waiting: EngineWorld, target_db: str
) -> None:
    with armed({"batch.before_commit": Raise()}), pytest.raises(FailpointRaised):
        retry_failure(waiting, MESSAGE)
    narrow(target_db)
    assert retry_failure(waiting, MESSAGE).failed == 1
    assert told(waiting, ROWS) == []
    assert told(waiting, RECORDS) == [("open", "numeric_scale", 1)]


@pytest.mark.parametrize("point", ["batch.claimed", "batch.read"])
def test_a_table_that_is_changed_under_a_retry_is_not_written(waiting: EngineWorld, target_db: str, point: str) -> None:
    meanwhile = armed({point: Do(lambda: narrow(target_db))})
    with meanwhile, pytest.raises(StructureMismatch, match="was made anew or retyped"):
        retry_failure(waiting, MESSAGE)
    assert told(waiting, ROWS) == []
    assert told(waiting, RECORDS) == [("open", "check_violation", 0)]
    assert told(waiting, RUNS) == [("failed",)]
    again = MESSAGE.model_copy(update={"outages": 1})
    assert retry_failure(waiting, again).failed == 1
    assert told(waiting, ROWS) == []

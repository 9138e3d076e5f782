"""A person accepts single failed records: they count no more, stay in every report, and open again with their row."""

from __future__ import annotations

import psycopg
import pytest

from hybrid_sync.contracts import Key
from hybrid_sync.errors import RequestRejected
from hybrid_sync.failures.accept import accept
from hybrid_sync.report.model import RunSummary
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


def accepted(world: EngineWorld, *keys: Key) -> None:
    with psycopg.connect(world.target_dsn) as connection:
        accept(connection, "people", "person", keys, by="ann", why="nobody knows what it meant")


def record(target: Query, key: int) -> tuple[str, str | None, str | None]:
    [found] = target(
        "select status, ended_by, accepted_why from hybrid_sync.failed_record"
        " where entity = 'people' and key = %s::int8[]",
        [key],
    )
    return found


@pytest.fixture
def failing(world: EngineWorld, legacy: Query) -> EngineWorld:
    """The last person's settings are no JSON."""
    legacy("update person set settings = 'not json' where id = 12")
    legacy("delete from visit where person_id = 12")
    assert run(world, "first").outcome.status == "degraded"
    return world


def test_an_accepted_record_counts_no_more_and_is_told_all_the_same(failing: EngineWorld, target: Query) -> None:
    accepted(failing, (12,))

    assert run(failing, "second").outcome.status == "succeeded"

    assert record(target, 12) == ("accepted", "ann", "nobody knows what it meant")
    told = RunSummary.model_validate(failing.reports.documents["second"])
    assert [(c.records, c.accepted, c.beyond) for c in told.missed if c.entity == "people"] == [(1, 1, False)]
    assert "accepted by a person" in failing.reports.pages["second", "html"]


@pytest.mark.parametrize("profile", ["weekly", "daily"])
def test_it_opens_again_when_its_row_changes_though_it_fails_for_the_same_reason(
    failing: EngineWorld, legacy: Query, target: Query, profile: str
) -> None:
    accepted(failing, (12,))
    legacy("update person set born = born + 1 where id = 12")

    assert run(failing, "second", profile=profile).outcome.status == "degraded"

    assert record(target, 12) == ("open", None, None)


def test_it_opens_again_when_it_fails_for_another_reason(failing: EngineWorld, legacy: Query, target: Query) -> None:
    accepted(failing, (12,))
    legacy("update person set settings = '{}', clinic_id = 999 where id = 12")

    assert run(failing, "second").outcome.status == "degraded"

    assert record(target, 12)[0] == "open"


def test_an_accepted_row_that_can_arrive_arrives(failing: EngineWorld, legacy: Query, target: Query) -> None:
    accepted(failing, (12,))
    legacy("update person set settings = '{}' where id = 12")

    assert run(failing, "second").outcome.status == "succeeded"

    assert record(target, 12)[0] == "resolved"
    assert target("select count(*) from people where legacy_id = 12") == [(1,)]


def test_one_wrong_key_accepts_none(failing: EngineWorld, target: Query) -> None:
    with pytest.raises(RequestRejected, match=r"Nothing was accepted: people/person has no failed record of 4711\."):
        accepted(failing, (12,), (4711,))

    assert record(target, 12)[0] != "accepted"


def test_a_record_whose_version_nobody_knows_is_read_again_first(failing: EngineWorld, target: Query) -> None:
    target("update hybrid_sync.failed_record set row_version = null")

    with pytest.raises(RequestRejected, match="hybrid-sync sync --ref people/person:12"):
        accepted(failing, (12,))

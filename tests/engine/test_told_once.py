"""People hear of a cause once, again after a day, and in the end that it is over; of on-demand successes never."""

from __future__ import annotations

import pytest

from hybrid_sync.alerts import Alert
from hybrid_sync.contracts import ReportRequest
from hybrid_sync.errors import AwsUnavailable
from hybrid_sync.steps.escalate_failure import escalate_failure
from hybrid_sync.steps.report_run import report_run
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


def subjects(world: EngineWorld) -> list[str]:
    return [subject for subject, _ in world.alerts.published]


def test_a_cause_is_told_once_and_again_after_a_day_and_that_it_is_over(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("update person set settings = 'not json' where id = 12")
    run(world, "first")
    run(world, "second")
    assert subjects(world) == ["hybrid-sync ALERT: weekly run degraded"]
    assert "What to do: Correct the text in legacy" in world.alerts.published[0][1]
    assert "See: hybrid-sync report first" in world.alerts.published[0][1]

    legacy("update person set kind = 99 where id = 11")  # another cause is news
    run(world, "third")
    assert len(subjects(world)) == 2

    target("update hybrid_sync.alert set told_at = told_at - interval '25 hours'")
    run(world, "fourth")
    assert len(subjects(world)) == 3

    legacy("update person set settings = '{}', kind = 1 where id > 10")
    run(world, "fifth")
    subject, body = world.alerts.published[-1]
    assert subject == "hybrid-sync: weekly run succeeded"
    assert body.count("Over: weekly run degraded, since ") == 2
    assert target("select count(*) from hybrid_sync.alert") == [(0,)]


def test_a_run_of_a_part_ends_the_alerts_of_its_own_entities_alone(world: EngineWorld, legacy: Query) -> None:
    legacy("update person set settings = 'not json' where id = 12")
    run(world, "all")
    run(world, "clinics alone", entities=("clinics",))
    subject, body = world.alerts.published[-1]
    assert subject == "hybrid-sync: weekly run succeeded" and "Over:" not in body
    legacy("update person set settings = '{}' where id = 12")
    run(world, "people alone", entities=("people",))
    assert "Over: weekly run degraded, since " in world.alerts.published[-1][1]


def test_a_late_report_says_nothing_of_what_came_after_its_run(
    world: EngineWorld, target: Query, legacy: Query
) -> None:
    run(world, "before")
    legacy("update person set settings = 'not json' where id = 12")
    run(world, "after")
    report_run(world, ReportRequest(run_id="before"))  # as the clock does where it has reached nobody
    subject, body = world.alerts.published[-1]
    assert subject == "hybrid-sync: weekly run succeeded" and "Over:" not in body
    assert target("select title from hybrid_sync.alert") == [("weekly run degraded",)]


def test_an_on_demand_run_that_ends_well_is_no_news_and_one_that_does_not_is(world: EngineWorld, legacy: Query) -> None:
    run(world, "weekly")
    run(world, "asked", profile="on_demand", entities=("people",))
    assert subjects(world) == ["hybrid-sync: weekly run succeeded"]
    legacy("update person set settings = 'not json' where id = 12")
    run(world, "again", profile="on_demand", entities=("people",))
    assert subjects(world)[1:] == ["hybrid-sync ALERT: on demand run degraded"]


def test_what_could_not_be_sent_is_sent_by_the_next_attempt(
    world: EngineWorld, legacy: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    legacy("update person set settings = 'not json' where id = 12")
    sent = world.alerts.publish

    def refuse(_: Alert) -> None:
        raise AwsUnavailable("SNS does not answer.")

    monkeypatch.setattr(world.alerts, "publish", refuse)
    with pytest.raises(AwsUnavailable):
        run(world, "first")
    monkeypatch.setattr(world.alerts, "publish", sent)
    report_run(world, ReportRequest(run_id="first"))
    assert subjects(world) == ["hybrid-sync ALERT: weekly run degraded"]


def test_junk_in_the_queue_is_told_once(world: EngineWorld) -> None:
    """Three deliveries of dead letters, with bodies that nobody could read among them."""
    for junk in (7, 3, 0):
        assert escalate_failure(world, [], junk) == 0
    [(subject, body)] = world.alerts.published
    assert "ALERT" in subject and "At least 7 messages" in body and "hybrid-sync failures redrive --all" in body

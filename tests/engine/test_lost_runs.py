"""Runs whose execution has ended without a word are found by the next run."""

from __future__ import annotations

import pytest

from hybrid_sync.alerts import Alert
from hybrid_sync.contracts import RunRequest
from hybrid_sync.errors import AwsUnavailable
from hybrid_sync.steps.plan_run import plan_run
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld


class Unreachable:
    """A topic that does not answer."""

    def publish(self, alert: Alert) -> None:
        raise AwsUnavailable("The topic does not answer.", "It is tried again.")


@pytest.mark.parametrize(
    ("execution", "status"),
    [
        ("running", "running"), ("cancelled", "cancelled"), ("lost", "lost"), ("failed", "failed"),
        ("succeeded", "lost"),
        (None, "running"),
    ],
)  # fmt: skip
def test_the_next_run_ends_what_has_no_execution_any_more(
    world: EngineWorld, target: Query, execution: str | None, status: str
) -> None:
    plan_run(world, RunRequest(run_id="first"))
    if execution is not None:
        world.executions.states["first"] = execution

    plan_run(world, RunRequest(run_id="second"))

    assert dict(target("select run_id, status from hybrid_sync.run")) == {"first": status, "second": "running"}
    told = [(subject, "Run first " in body) for subject, body in world.alerts.published]
    assert told == ([] if status == "running" else [(f"hybrid-sync ALERT: run {status}", True)])


def test_an_alert_that_cannot_be_sent_is_sent_by_the_next_run(
    world: EngineWorld, target: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_run(world, RunRequest(run_id="first"))
    world.executions.states["first"] = "lost"
    with monkeypatch.context() as away:
        away.setattr(world, "alerts", Unreachable())
        plan_run(world, RunRequest(run_id="second"))
    world.executions.states["second"] = "running"

    plan_run(world, RunRequest(run_id="third"))

    assert [subject for subject, _ in world.alerts.published] == ["hybrid-sync ALERT: run lost"]


def test_a_run_that_nobody_knows_is_lost_after_its_deadline(world: EngineWorld, target: Query) -> None:
    plan_run(world, RunRequest(run_id="first"))
    target("update hybrid_sync.run set deadline_at = now() - interval '1 second'")

    plan_run(world, RunRequest(run_id="second"))

    assert target("select status, finished_at is not null from hybrid_sync.run where run_id = 'first'") == [
        ("lost", True)
    ]

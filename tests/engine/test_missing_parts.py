"""A table, the data bucket or the queue is gone: a run names it, and does without where it can; the clock tells what no
run can."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from hybrid_sync.admission.gate import Gate
from hybrid_sync.admission.parts import parts
from hybrid_sync.admission.startable import ScheduledRun
from hybrid_sync.contracts import PageKind, Profile, RollbackTask
from hybrid_sync.errors import AwsUnavailable, ConfigurationMissing, PartMissing, TargetUnavailable
from hybrid_sync.failures.queue import SqsFailureQueue
from hybrid_sync.ids.cache import DynamoIdCache
from hybrid_sync.runs.manifest import S3Manifests, S3Reports
from hybrid_sync.steps.admit_runs import admit_runs
from hybrid_sync.steps.rollback_run import rollback_run
from tests.contract import accounts
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

REPAIR = "hybrid-sync repair makes tables, bucket and queues anew"


class NoBucket(S3Manifests):
    """What the state machine would find there, too."""

    def lines(self, bucket: str, key: str) -> list[dict[str, Any]]:
        raise LookupError(bucket, key)


@pytest.fixture
def aws() -> Iterator[Any]:
    with accounts.account("moto", str):
        yield boto3


def test_a_run_does_without_table_queue_and_reports_and_its_mail_names_them(
    world: EngineWorld, legacy: Query, target: Query, aws: Any
) -> None:
    deployed: Any = world
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/gone"
    deployed.id_cache = DynamoIdCache("gone", aws.client("dynamodb"), world.id_secret)
    deployed.failure_queue = SqsFailureQueue(url, aws.client("sqs"))
    deployed.reports = S3Reports("gone", aws.client("s3"))
    legacy("insert into visit (id, person_id, note) values (500, 500, 'waits')")

    outcome = run(world, "first").outcome

    assert (outcome.status, outcome.report) == ("degraded", "")
    [(status, kept)] = target("select status, report->>'status' from hybrid_sync.run")
    assert (status, kept) == ("degraded", "degraded"), "the target has the report"
    body = world.alerts.published[-1][1]
    for part in ("The id map's table", "The queue of failed records", "The data bucket"):
        assert body.count(f"Done without: {part} is missing (") == 1, body
    assert REPAIR in body
    waiting = "select queued_at from hybrid_sync.failed_record where key = '{500}'"
    assert target(waiting) == [(None,)], "whoever comes next sends it"

    deployed.failure_queue = SqsFailureQueue(
        aws.client("sqs").create_queue(QueueName="gone")["QueueUrl"], aws.client("sqs")
    )
    run(world, "second", entities=("visits",))
    assert target(waiting) != [(None,)]


class Refused(S3Reports):
    """A bucket that takes nothing from us any more."""

    def write_page(self, run_id: str, kind: PageKind, text: str) -> str:
        raise ConfigurationMissing("AWS refused access to the data bucket (AccessDenied).", "Compare the policy.")


def test_a_bucket_that_refuses_reports_keeps_no_run_from_its_end_nor_from_being_undone(
    world: EngineWorld, target: Query, aws: Any
) -> None:
    deployed: Any = world
    deployed.reports = Refused("data", aws.client("s3"))
    assert run(world, "first").outcome.report == ""
    assert "Done without: AWS refused access to the data bucket (AccessDenied)." in world.alerts.published[-1][1]
    undone = rollback_run(world, RollbackTask(run_id="first"))
    assert (undone.report, target("select count(*) from people")) == ("", [(0,)])
    assert "Done without: AWS refused access to the data bucket" in world.alerts.published[-1][1]


def test_a_plan_has_no_other_place_than_the_bucket_and_says_so(world: EngineWorld, aws: Any) -> None:
    deployed: Any = world
    deployed.manifests = NoBucket("gone", aws.client("s3"))
    outcome = run(world, "first").outcome
    assert outcome.status == "failed"
    assert f"The data bucket is missing (NoSuchBucket). {REPAIR}" in world.alerts.published[-1][1]
    with pytest.raises(PartMissing):
        world.manifests.read("first", "people")


@pytest.fixture
def without_table(world: EngineWorld, aws: Any) -> Any:
    """A deployment whose control table is gone."""
    deployed: Any = world
    deployed.gate = Gate(*parts("gone", aws.client("dynamodb"), deployed.executions, (3, 1_000, 100), world.now))
    return deployed


def clock(deployed: Any, scheduled: ScheduledRun | None = None) -> None:
    """It strikes, and its function fails, so that its errors tell as well."""
    with pytest.raises(PartMissing, match="The control table is missing"):
        admit_runs(deployed, scheduled)


def test_a_control_table_that_is_gone_is_told_once_by_the_clock_and_over_with_the_next_run(
    without_table: Any, legacy: Query, target: Query
) -> None:
    published = without_table.alerts.published
    for _ in range(3):
        clock(without_table)
    [(subject, body)] = published
    assert subject == "hybrid-sync ALERT: the control table is gone"
    assert "Nothing starts until it is there again" in body and REPAIR in body
    target("update hybrid_sync.alert set told_at = told_at - interval '25 hours'")
    clock(without_table)
    assert len(published) == 2, "a day later people hear of it again"

    legacy("update person set settings = 'not json' where id = 12")
    run(without_table, "first")
    subject, body = published[-1]
    assert subject == "hybrid-sync ALERT: weekly run degraded" and "Over: the control table is gone, since " in body
    clock(without_table)
    assert published[-1][0] == "hybrid-sync ALERT: the control table is gone", "it is gone once more, and that is news"
    legacy("update person set settings = '{}' where id = 12")
    run(without_table, "second")
    subject, body = published[-1]
    assert subject == "hybrid-sync: weekly run succeeded" and "Over: the control table is gone, since " in body


def test_a_schedule_that_finds_no_control_table_tells_it_too(without_table: Any) -> None:
    due = datetime(2026, 11, 29, 1, tzinfo=UTC)
    request = {"profile": Profile.weekly, "trigger": "schedule"}
    clock(without_table, ScheduledRun.model_validate({"scheduled_at": due, "request": request}))
    assert [subject for subject, _ in without_table.alerts.published] == [
        "hybrid-sync ALERT: the control table is gone"
    ]


def test_what_keeps_it_from_being_told_keeps_nobody_from_hearing_it_a_minute_later(
    without_table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AwsUnavailable("SNS does not answer.")

    def away() -> None:
        raise TargetUnavailable("The target database does not answer.")

    for part, name, stands_in in (
        (without_table.alerts, "publish", refuse), (without_table, "connect_target", away),
    ):  # fmt: skip
        with monkeypatch.context() as disturbed:
            disturbed.setattr(part, name, stands_in)
            clock(without_table)
    assert without_table.alerts.published == []
    clock(without_table)
    assert len(without_table.alerts.published) == 1

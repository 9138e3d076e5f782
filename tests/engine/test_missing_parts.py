"""The id map's table, the data bucket or the queue is gone: a run names it, and does without where it can."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from hybrid_sync.errors import PartMissing
from hybrid_sync.failures.queue import SqsFailureQueue
from hybrid_sync.ids.cache import DynamoIdCache
from hybrid_sync.runs.manifest import S3Manifests, S3Reports
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


def test_a_plan_has_no_other_place_than_the_bucket_and_says_so(world: EngineWorld, aws: Any) -> None:
    deployed: Any = world
    deployed.manifests = NoBucket("gone", aws.client("s3"))
    outcome = run(world, "first").outcome
    assert outcome.status == "failed"
    assert f"The data bucket is missing (NoSuchBucket). {REPAIR}" in world.alerts.published[-1][1]
    with pytest.raises(PartMissing):
        world.manifests.read("first", "people")

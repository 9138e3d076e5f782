"""Manifests, reports, the failure queue and alerts: what every one of them promises, in memory and on AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from hybrid_sync.alerts import Alert, Channels, Log, Topic
from hybrid_sync.contracts import BatchTask, FailureMessage
from hybrid_sync.errors import AwsUnavailable, ConfigurationMissing
from hybrid_sync.failures.queue import SqsFailureQueue
from hybrid_sync.runs.manifest import S3Manifests, S3Reports
from hybrid_sync.world import Manifests, Reports
from tests.contract import accounts
from tests.engine.worlds import MemoryManifests, MemoryReports


def batches(count: int, run_id: str = "weekly-1") -> list[BatchTask]:
    return [
        BatchTask(run_id=run_id, entity="orders", source="main", lo=n, hi=n + 1, buckets=((n, n),))
        for n in range(count)
    ]


@pytest.fixture(params=["memory", *accounts.KINDS])
def stores(request: pytest.FixtureRequest) -> Iterator[tuple[Manifests, Reports]]:
    if request.param == "memory":
        yield MemoryManifests(), MemoryReports()
        return
    with (
        accounts.account(request.param, lambda: str(request.getfixturevalue("ministack"))),
        accounts.data_bucket() as client,
    ):
        yield S3Manifests("data", client), S3Reports("data", client)


@pytest.fixture
def manifests(stores: tuple[Manifests, Reports]) -> Manifests:
    return stores[0]


@pytest.fixture
def reports(stores: tuple[Manifests, Reports]) -> Reports:
    return stores[1]


def test_a_plan_is_read_as_it_was_written(manifests: Manifests) -> None:
    assert manifests.write_once("weekly-1", "orders", batches(3)).batches == 3
    assert manifests.read("weekly-1", "orders") == batches(3)


def test_a_repeated_plan_keeps_the_first(manifests: Manifests) -> None:
    first = manifests.write_once("weekly-1", "orders", batches(3))
    assert manifests.write_once("weekly-1", "orders", batches(5)) == first
    assert manifests.read("weekly-1", "orders") == batches(3)


class Refused:
    """S3, which answers the first requests of these operations so, and does nothing."""

    def __init__(self, s3: Any, **codes: list[str]) -> None:
        self._s3 = s3
        self._codes = codes

    def __getattr__(self, operation: str) -> Any:
        left = self._codes.get(operation)
        if not left:
            return getattr(self._s3, operation)
        refusal = ClientError({"Error": {"Code": left.pop(0)}}, operation)

        def refuse(**_: Any) -> Any:
            raise refusal

        return refuse


def test_a_plan_that_somebody_else_was_about_to_write_and_did_not_is_written(s3: Any) -> None:
    conflict = Refused(s3, put_object=["ConditionalRequestConflict"])
    assert S3Manifests("data", conflict).write_once("weekly-1", "orders", batches(3)).batches == 3
    assert S3Manifests("data", s3).read("weekly-1", "orders") == batches(3)


def test_a_plan_that_is_always_being_written_is_left_to_a_later_attempt(s3: Any) -> None:
    conflicts = Refused(s3, put_object=["ConditionalRequestConflict"] * 10)
    with pytest.raises(AwsUnavailable, match="Another attempt is writing the plan"):
        S3Manifests("data", conflicts).write_once("weekly-1", "orders", batches(3))


@pytest.mark.parametrize(("code", "kind"), [("AccessDenied", ConfigurationMissing), ("NoSuchKey", AwsUnavailable)])
def test_a_plan_that_is_there_and_cannot_be_read_is_none_without_batches(s3: Any, code: str, kind: type) -> None:
    S3Manifests("data", s3).write_once("weekly-1", "orders", batches(3))
    with pytest.raises(kind):
        S3Manifests("data", Refused(s3, get_object=[code])).write_once("weekly-1", "orders", batches(5))


def test_runs_and_entities_have_plans_of_their_own(manifests: Manifests) -> None:
    manifests.write_once("weekly-1", "orders", batches(3))
    assert manifests.write_once("weekly-1", "payments", batches(1)).batches == 1
    assert manifests.write_once("weekly-2", "orders", batches(2)).batches == 2
    assert manifests.read("weekly-3", "orders") is None


def test_a_plan_of_2100_batches_is_one_json_array_that_a_map_can_read(s3: Any) -> None:
    manifest = S3Manifests("data", s3).write_once("weekly-1", "orders", batches(2_100))
    content = json.loads(s3.get_object(Bucket=manifest.bucket, Key=manifest.key)["Body"].read())
    assert manifest.key == "manifests/weekly-1/orders.json"
    assert [BatchTask.model_validate(item) for item in content] == batches(2_100)


def test_a_report_can_be_written_again(reports: Reports) -> None:
    reports.write("weekly-1", {"status": "running"})
    where = reports.write("weekly-1", {"status": "succeeded"})
    assert where.endswith("weekly-1") or where == "s3://data/reports/weekly-1.json"
    assert reports.read("weekly-1") == {"status": "succeeded"}
    assert reports.read("weekly-2") is None


def test_a_page_lies_beside_the_report_and_can_be_written_again(reports: Reports) -> None:
    reports.write("weekly-1", {"status": "succeeded"})
    reports.write_page("weekly-1", "html", "<p>running</p>")
    where = reports.write_page("weekly-1", "html", "<p>süccess</p>")
    assert where.endswith("weekly-1.html")
    assert reports.read("weekly-1") == {"status": "succeeded"}


def test_a_page_in_the_bucket_has_a_type_that_browsers_show(s3: Any) -> None:
    S3Reports("data", s3).write_page("weekly-1", "html", "<p>süccess</p>")
    found = s3.get_object(Bucket="data", Key="reports/weekly-1.html")
    assert (found["ContentType"], found["Body"].read().decode()) == ("text/html; charset=utf-8", "<p>süccess</p>")


def test_a_bucket_that_is_not_there_is_told_in_a_sentence(s3: Any) -> None:
    with pytest.raises(ConfigurationMissing, match="data bucket"):
        S3Manifests("elsewhere", s3).write_once("weekly-1", "orders", batches(1))
    with pytest.raises(ConfigurationMissing, match="data bucket"):
        S3Reports("elsewhere", s3).write("weekly-1", {})


def failures(count: int) -> list[FailureMessage]:
    return [
        FailureMessage(run_id="weekly-1", entity="orders", source="main", reason="bad_json", keys=((n,),))
        for n in range(count)
    ]


def received(sqs: Any, url: str) -> list[FailureMessage]:
    found: list[FailureMessage] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [FailureMessage.model_validate_json(message["Body"]) for message in messages]
    return found


def test_every_message_arrives_however_many_there_are(sqs: Any, queue_url: str) -> None:
    SqsFailureQueue(queue_url, sqs).send(failures(37))
    assert sorted(received(sqs, queue_url), key=lambda m: m.keys) == failures(37)


def test_no_message_no_request(sqs: Any) -> None:
    SqsFailureQueue("http://nowhere", sqs).send([])


def test_requests_stay_below_the_size_that_sqs_takes(sqs: Any, queue_url: str) -> None:
    wide = tuple((10**17 + n, 10**17 - n) for n in range(500))
    messages = [message.model_copy(update={"keys": wide}) for message in failures(30)]
    assert sum(len(message.model_dump_json()) for message in messages) > 512 * 1024
    SqsFailureQueue(queue_url, sqs).send(messages)
    assert len(received(sqs, queue_url)) == 30


def test_a_rejected_message_is_sent_again_and_then_told(sqs: Any, queue_url: str) -> None:
    class Rejecting:
        def __init__(self, times: int) -> None:
            self.times = times

        def send_message_batch(self, **request: Any) -> Any:
            self.times -= 1
            if self.times >= 0:
                return {"Failed": [{"Id": entry["Id"]} for entry in request["Entries"]]}
            return sqs.send_message_batch(**request)

    SqsFailureQueue(queue_url, Rejecting(1)).send(failures(3))
    assert len(received(sqs, queue_url)) == 3
    with pytest.raises(AwsUnavailable):
        SqsFailureQueue(queue_url, Rejecting(2)).send(failures(3))


@pytest.mark.parametrize(("count", "seconds"), [(1, 20), (2, 40), (3, 80), (30, 43_200)])
def test_a_message_that_fails_comes_back_later_each_time(count: int, seconds: int) -> None:
    asked: list[dict[str, Any]] = []

    class Recording:
        def change_message_visibility(self, **request: Any) -> None:
            asked.append(request)

    SqsFailureQueue("url", Recording(), retry_delay_seconds=20).postpone("handle", count)
    assert asked == [{"QueueUrl": "url", "ReceiptHandle": "handle", "VisibilityTimeout": seconds}]


def test_an_alert_reaches_the_subscribers_in_the_form_that_sns_takes(sqs: Any, queue_url: str) -> None:
    sns = boto3.client("sns")
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    Topic(topic, sns).send(Alert("Run failed\nénd " + "x" * 200, ("details –", "counts only")))
    [message] = sqs.receive_message(QueueUrl=queue_url)["Messages"]
    told = json.loads(message["Body"])
    assert told["Subject"].startswith("hybrid-sync: Run failed ?nd xxx")
    assert len(told["Subject"]) == 100
    assert told["Message"] == "details –\ncounts only"


def test_every_channel_is_told_whichever_fails() -> None:
    written: list[tuple[str, dict[str, Any]]] = []

    class Broken:
        def send(self, alert: Alert) -> None:
            raise AwsUnavailable("The alert topic does not answer.")

    channels = Channels(Broken(), Log(lambda message, extra: written.append((message, extra))))
    with pytest.raises(AwsUnavailable):
        channels.publish(Alert("weekly run failed", ("1 of 2 entities failed.",), urgent=True))
    subject = "hybrid-sync ALERT: weekly run failed"
    assert written == [("alert", {"subject": subject, "urgent": True, "lines": ("1 of 2 entities failed.",)})]

"""Failed records: an outage costs no attempt, a parent's arrival wakes its children, a cause is told once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from psycopg.conninfo import make_conninfo

from hybrid_sync.consumer import each_message
from hybrid_sync.contracts import FailureMessage
from hybrid_sync.errors import RecordsStillFail
from hybrid_sync.failures.queue import SqsFailureQueue
from hybrid_sync.steps.escalate_failure import escalate_failure
from hybrid_sync.steps.retry_failure import retry_failure
from tests.contract import accounts
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run
from tests.unit.lambdas import FakeContext

ORPHAN = "insert into visit (id, person_id, note) values (500, 500, 'waits')"
PARENT = "insert into person (id, clinic_id, email) values (500, 1, 'late@example.org')"
RECORDS = "select status, attempts from hybrid_sync.failed_record where entity = 'visits' and key = '{500}'"


class Queue:
    """The queue in SQS, and its consumer over a world."""

    def __init__(self, world: EngineWorld, client: Any) -> None:
        self.client = client
        self.url = client.create_queue(QueueName="failed")["QueueUrl"]
        self.sent = SqsFailureQueue(self.url, client)
        self.delays: list[int] = []

        @each_message(FailureMessage, postpone=self.sent.postpone, put_off=self.sent.put_off)
        def handler(message: FailureMessage) -> None:
            if retry_failure(world, message).failed:
                raise RecordsStillFail("1 records failed again.")

        self._handler = handler
        client.meta.events.register("before-parameter-build.sqs.SendMessageBatch", self._note)

    def _note(self, params: dict[str, Any], **_: Any) -> None:
        """SQS delays for minutes; time does not pass here."""
        for entry in params["Entries"]:
            self.delays.append(entry.pop("DelaySeconds", -1))

    def deliver(self) -> tuple[int, int]:
        """Deliver the message; how often it was received, and how many stay."""
        answer = self.client.receive_message(QueueUrl=self.url, AttributeNames=["All"], MaxNumberOfMessages=10)
        [got] = answer["Messages"]
        record = {
            "messageId": got["MessageId"], "receiptHandle": got["ReceiptHandle"], "body": got["Body"],
            "attributes": got["Attributes"], "messageAttributes": {}, "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:failed", "awsRegion": "us-east-1",
        }  # fmt: skip
        left = self._handler({"Records": [record]}, FakeContext())["batchItemFailures"]
        if not left:
            self.client.delete_message(QueueUrl=self.url, ReceiptHandle=got["ReceiptHandle"])
        return int(got["Attributes"]["ApproximateReceiveCount"]), len(left)


@pytest.fixture
def queue(world: EngineWorld) -> Iterator[Queue]:
    with accounts.account("moto", str):
        yield Queue(world, boto3.client("sqs"))


def test_an_outage_uses_up_no_attempt_however_often_it_is_met(
    world: EngineWorld, legacy: Query, target: Query, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    legacy(ORPHAN)
    run(world, "first")
    queue.sent.send([m for m in world.failure_queue.messages if (500,) in m.keys])
    for side in ("legacy_dsn", "target_dsn", "legacy_dsn", "target_dsn"):
        with monkeypatch.context() as patch:
            patch.setattr(world, side, make_conninfo(getattr(world, side), host="127.0.0.1", port=1))
            assert queue.deliver() == (1, 0)
    assert queue.delays == [-1, 20, 40, 80, 160]
    assert target(RECORDS) == [("open", 0)]
    assert queue.deliver() == (1, 1)
    assert target(RECORDS) == [("open", 1)]


def test_what_a_person_has_to_mend_uses_up_no_attempt_either(
    world: EngineWorld, legacy: Query, target: Query, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.build = "a build"
    legacy(ORPHAN)
    run(world, "first")
    queue.sent.send([m for m in world.failure_queue.messages if (500,) in m.keys])
    with monkeypatch.context() as patch:
        patch.setattr(world, "id_secret", b"another secret")
        for _ in range(4):
            assert queue.deliver() == (1, 0)
    target("update hybrid_sync.entity_state set held = true where entity = 'visits'")
    assert queue.deliver() == (1, 0)
    target("update hybrid_sync.entity_state set held = false; alter table visits rename note to remark")
    world.pool.close()
    assert queue.deliver() == (1, 0)
    target("alter table visits rename remark to note")
    assert target(RECORDS) == [("open", 0)]
    legacy(PARENT)
    run(world, "second", entities=("people",))
    assert queue.deliver() == (1, 0)
    assert target(RECORDS)[0][0] == "resolved"


def test_a_schema_that_is_older_than_the_code_is_written_by_no_retry(
    world: EngineWorld, legacy: Query, target: Query, queue: Queue
) -> None:
    """Between a deployment and its `install` functions of the target may mean something else by the same name."""
    legacy(ORPHAN)
    run(world, "first")
    queue.sent.send([m for m in world.failure_queue.messages if (500,) in m.keys])
    [(newest,)] = target("delete from hybrid_sync.migration where name = (select max(name) from hybrid_sync.migration)"
                         " returning row_to_json(migration)")  # fmt: skip

    assert queue.deliver() == (1, 0), "it is sent anew, and costs no attempt"
    assert target(RECORDS) == [("open", 0)]
    assert target("select 1 from hybrid_sync.run where trigger = 'retry'") == []

    names = ", ".join(newest)
    target(f"insert into hybrid_sync.migration ({names}) values ({', '.join(['%s'] * len(newest))})", *newest.values())
    assert queue.deliver() == (1, 1)
    assert target(RECORDS) == [("open", 1)]


def test_a_parents_arrival_wakes_its_children_at_once_also_those_that_were_given_up(
    world: EngineWorld, legacy: Query, target: Query, queue: Queue
) -> None:
    legacy(ORPHAN)
    run(world, "first")
    message = next(m for m in world.failure_queue.messages if (500,) in m.keys)
    for _ in range(3):
        assert retry_failure(world, message).failed == 1
    assert escalate_failure(world, [message]) == 1
    assert target(RECORDS) == [("escalated", 3)]

    world.failure_queue.messages.clear()
    legacy("update person set email = 'other@example.org' where id = 3")
    run(world, "another", profile="on_demand", refs=({"entity": "people", "legacy_id": 3},))
    assert world.failure_queue.messages == []
    legacy(PARENT)
    run(world, "parent", profile="on_demand", refs=({"entity": "people", "legacy_id": 500},))
    [woken] = world.failure_queue.messages
    assert (woken.entity, woken.keys, woken.at_once) == ("visits", ((500,),), True)
    assert target(RECORDS) == [("open", 0)]
    queue.sent.send([woken])
    assert queue.deliver() == (1, 0)
    assert queue.delays == [0]
    assert target(RECORDS)[0][0] == "resolved"


def test_a_batch_wakes_them_too_but_leaves_those_that_its_run_still_comes_to(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy(ORPHAN)
    run(world, "first")
    legacy(PARENT)
    world.failure_queue.messages.clear()
    run(world, "second", entities=("people",))
    assert [(m.entity, m.at_once) for m in world.failure_queue.messages] == [("visits", True)]
    target("update hybrid_sync.failed_record set status = 'open' where entity = 'visits'")
    world.failure_queue.messages.clear()
    legacy("update person set email = 'now@example.org' where id = 500")
    run(world, "third")
    assert not any(message.at_once for message in world.failure_queue.messages)
    assert target(RECORDS)[0][0] == "resolved"


def test_what_is_given_up_is_told_once_for_each_cause_with_its_numbers_and_that_it_is_over(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("update visit set best_invoice_id = null")
    legacy("insert into visit (id, person_id, note) select 500 + i, 500, 'waits' from generate_series(1, 250) i")
    run(world, "first")
    messages = [m for m in world.failure_queue.messages if (m.entity, m.reason) == ("visits", "missing_parent")]
    assert len(messages) == 3
    world.alerts.published.clear()
    for message in messages:
        escalate_failure(world, [message])
    [(subject, body)] = world.alerts.published
    assert subject == "hybrid-sync: 100 failed records of visits (missing_parent) need a person"
    assert "visits: 100 of 250 × missing_parent given up." in body
    target("update hybrid_sync.alert set told_at = told_at - interval '25 hours'")
    target("update hybrid_sync.failed_record set status = 'open' where key = '{501}'")
    escalate_failure(world, messages[:1])
    assert "visits: 250 of 250" in world.alerts.published[-1][1]

    legacy(PARENT)
    run(world, "healed")
    assert "Over: 100 failed records of visits (missing_parent) need a person" in world.alerts.published[-1][1]

"""`failures redrive`, with the engine behind it on real PostgreSQL and a queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from hybrid_sync.admission.slots import SlotStore
from hybrid_sync.contracts import FailureMessage
from hybrid_sync.failures.queue import SqsFailureQueue
from hybrid_sync.runs.holds import hold
from hybrid_sync.services.messages.records import RedriveAsked
from hybrid_sync.services.redrive import redrive
from hybrid_sync.steps.retry_failure import retry_failure
from tests.cli.conftest import Command, announce
from tests.cli.gateway import PERSON, Away, Desk, gateway
from tests.contract import accounts
from tests.engine.worlds import run
from tests.gate.table import control_table
from tests.rollbacks.ground import Ground

MANY = 10_000
ID = "redrive-20261129T010000-4fc1d2"


class Redriving:
    """A deployment with failed records, and its queue."""

    def __init__(self, ground: Ground, desk: Desk, queue: str) -> None:
        self.ground, self.desk = ground, desk
        self._queue = queue
        self._sqs = boto3.client("sqs")

    def fail(self, people: int, visits: int = 0) -> None:
        """So many people with settings that are no JSON, and visits of nobody."""
        self.ground.legacy.execute(
            "insert into person (id, email, settings) select 1000 + i, i || '@example.org', '{{'"
            " from generate_series(1, %s) i",
            (people,),
        )
        self.ground.legacy.execute(
            "insert into visit (id, person_id) select 1000 + i, -i from generate_series(1, %s) i", (visits,)
        )
        run(self.ground.world, "first")
        self.ground.target.execute("delete from hybrid_sync.failed_record where key[1] < 1000")  # the domain's own
        assert self.counts() == {"open": people + visits}

    def counts(self) -> dict[str, int]:
        query = "select status, count(*) from hybrid_sync.failed_record group by status"
        return dict(self.ground.target.execute(query).fetchall())

    def handed_out(self) -> int:
        """Records that the table says are on their way."""
        query = "select count(*) from hybrid_sync.failed_record where redriven_by is not null and status = 'open'"
        row = self.ground.target.execute(query).fetchone()
        return int(row[0]) if row else 0

    def messages(self) -> list[FailureMessage]:
        """All that wait in the queue, taken out of it."""
        found = []
        while part := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for message in part:
                found.append(FailureMessage.model_validate_json(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return found


@pytest.fixture
def redriving(legacy_db: str, target_db: str, hybrid_sync: Command) -> Iterator[Redriving]:
    ground = Ground(legacy_db, target_db)
    with accounts.account("moto", str):
        sqs = boto3.client("sqs")
        queue = sqs.create_queue(QueueName="failed")["QueueUrl"]
        desk = Desk(ground.world.catalog, target_db, failure_queue=SqsFailureQueue(queue, sqs))
        with gateway(desk) as address:
            announce(address, target_db)
            yield Redriving(ground, desk, queue)
    ground.close()


def keys(messages: list[FailureMessage]) -> list[Any]:
    return sorted((message.entity, key) for message in messages for key in message.keys)


def test_ten_thousand_are_handed_out_once_and_arrive_and_table_queue_and_command_agree(
    redriving: Redriving, hybrid_sync: Command
) -> None:
    redriving.fail(MANY)
    redriving.ground.legacy.execute("update person set settings = '{}' where id > 1000")
    said = hybrid_sync("failures", "redrive", "--reason", "bad_json", "--json")
    assert (said.status, said.err) == (0, "")
    messages = redriving.messages()
    handed_out = keys(messages)
    assert json.loads(said.out) == {"records": MANY, "messages": len(messages), "left": 0, "paused": ""}
    assert len(handed_out) == len(set(handed_out)) == redriving.handed_out() == MANY
    for message in messages:
        assert retry_failure(redriving.ground.world, message).failed == 0
    assert redriving.counts() == {"resolved": MANY}
    there = redriving.ground.target.execute("select count(*) from people where legacy_id > 1000").fetchone()
    assert there == (MANY,)


def test_by_key_by_entity_by_reason_and_all_and_what_is_accepted_stays(
    redriving: Redriving, hybrid_sync: Command
) -> None:
    redriving.fail(3, visits=2)
    assert hybrid_sync("failures", "accept", "people", "1003", "--why", "known").status == 0
    said = hybrid_sync("failures", "redrive", "people", "1001", "1003")
    assert said.out == "1 failed record is tried again, in 1 message.\n"
    assert keys(redriving.messages()) == [("people", (1001,))]
    assert hybrid_sync("failures", "redrive", "people").out.startswith("2 failed records")
    assert hybrid_sync("failures", "redrive", "visits", "--reason", "bad_json").out.startswith("no failed records")
    redriving.messages()
    assert hybrid_sync("failures", "redrive", "--reason", "missing_parent").out.startswith("2 failed records")
    assert keys(redriving.messages()) == [("visits", (1001,)), ("visits", (1002,))]
    redriving.ground.target.execute("update hybrid_sync.failed_record set status = 'escalated', attempts = 3")
    assert hybrid_sync("failures", "redrive", "--all").out.startswith("5 failed records")
    assert redriving.counts() == {"open": 5}


def test_each_redrive_tries_anew_and_a_call_that_is_repeated_hands_out_nothing_twice(redriving: Redriving) -> None:
    redriving.fail(2)
    asked = RedriveAsked(redrive_id=ID, all=True)
    assert redrive(redriving.desk, asked, PERSON).records == 2
    assert redrive(redriving.desk, asked, PERSON).records == 0
    [message] = redriving.messages()
    assert retry_failure(redriving.ground.world, message).failed == 2
    redriving.ground.legacy.execute("update person set settings = '{}' where id > 1000")
    again = asked.model_copy(update={"redrive_id": ID.replace("4f", "5a")})
    assert redrive(redriving.desk, again, PERSON).records == 2
    [message] = redriving.messages()
    assert retry_failure(redriving.ground.world, message).failed == 0, "a result of the redrive before was taken"


def test_while_starts_are_paused_nobody_is_told_that_records_are_tried(
    redriving: Redriving, hybrid_sync: Command
) -> None:
    redriving.fail(2)
    dynamodb = boto3.client("dynamodb")
    with control_table(dynamodb, "control") as table:
        redriving.desk.admit_by(Away(), table, dynamodb)
        SlotStore(table, dynamodb).pause("by ann since 2026-11-29 01:00 UTC, legacy is being restored")
        said = hybrid_sync("failures", "redrive", "--all")
        assert said.out == (
            "2 failed records wait in the queue: starts are paused by ann since 2026-11-29 01:00 UTC, legacy is being"
            " restored. hybrid-sync resume lets it go on.\n"
        )
        assert len(keys(redriving.messages())) == 2
        SlotStore(table, dynamodb).pause("")
        assert hybrid_sync("failures", "redrive", "--all").out.startswith("2 failed records are tried again")


def test_what_is_held_is_left_and_said(redriving: Redriving, hybrid_sync: Command) -> None:
    redriving.fail(2, visits=1)
    hold(redriving.ground.target, ["people"], "ann", "restore")
    said = hybrid_sync("failures", "redrive", "--all")
    assert said.out.splitlines() == [
        "1 failed record is tried again, in 1 message.",
        "2 are left: their entity is held, or they have no key.",
    ]


def test_what_is_not_there_is_one_sentence(redriving: Redriving, hybrid_sync: Command) -> None:
    for words, sentence in (
        ((), "Nothing says which records: name an entity or a reason, or ask for all."),
        (("people", "1,2"), "1,2 is no key of people: it has 1 part(s)"),
        (("nope",), "There is no entity nope in the catalog."),
        (("--reason", "nope"), "There is no reason nope"),
        (("people", "4711"), "Nothing is tried again: people has no failed record of 4711 that waits."),
    ):
        said = hybrid_sync("failures", "redrive", *words)
        assert (said.status, said.out) == (1, "")
        assert sentence in said.err

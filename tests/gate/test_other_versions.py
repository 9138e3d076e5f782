"""A deployment, or one that was taken back, finds jobs that another version has accepted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest

from hybrid_sync.admission.bounds import Bounds
from hybrid_sync.admission.job import JobState, new_job
from hybrid_sync.admission.startable import CheckRequest
from hybrid_sync.contracts import Profile, RunPriority, RunRequest
from hybrid_sync.services.jobs import job_answer
from tests.contract import accounts
from tests.gate.table import control_table
from tests.gate.test_gate import Deployment, row


class Mixed(Deployment):
    """Another version knows more of a request."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        super().__init__(dynamodb, table, Bounds(3, waiting=4, waiting_of_one=3))
        self._dynamodb, self._table = dynamodb, table

    def accepted_elsewhere(self, name: str, request: RunRequest, **more: Any) -> None:
        """A job whose request says more than ours can."""
        self.jobs.put(replace(new_job(name, request, "caller", self.service.now), work="another version's"))
        self._say(name, more)

    def deployed(self, name: str) -> None:
        """The version that knows it."""
        self._say(name, {}, keep=RunRequest.model_fields)

    def _say(self, name: str, more: dict[str, Any], keep: Any = None) -> None:
        key = {"pk": {"S": f"job/{name}"}}
        text = self._dynamodb.get_item(TableName=self._table, Key=key)["Item"]["request"]["S"]
        said = {k: v for k, v in json.loads(text).items() if keep is None or k in keep} | more
        self._dynamodb.update_item(
            TableName=self._table, Key=key, UpdateExpression="set #r = :r", ExpressionAttributeNames={"#r": "request"},
            ExpressionAttributeValues={":r": {"S": json.dumps(said)}},
        )  # fmt: skip


@pytest.fixture
def deployment() -> Iterator[Mixed]:
    with accounts.account("moto", str):
        dynamodb: Any = boto3.client("dynamodb")
        with control_table(dynamodb, "control") as table:
            yield Mixed(dynamodb, table)


def test_a_job_that_asks_for_what_we_do_not_know_waits_says_why_and_keeps_nobody(deployment: Mixed) -> None:
    urgent = row(1, RunPriority.critical)
    deployment.accepted_elsewhere("newer", urgent, only_columns=["price"])
    deployment.service.now += timedelta(minutes=1)
    assert deployment.gate.add(row(2, RunPriority.critical), "mine", "caller").status == "running"
    assert deployment.gate.add(RunRequest(), "weekly-20261129T010000-000000", "schedule").status == "running"
    assert deployment.gate.admit(tend=True) == []
    standing = deployment.gate.standing("newer")
    assert (standing.job.state, standing.why.startswith("Another version accepted it")) == (JobState.waiting, True)
    answers = {one.job.job_id: job_answer(one) for one in deployment.gate.at_work()[0]}
    assert (answers["newer"].profile, answers["newer"].priority) == (Profile.on_demand, RunPriority.critical)
    deployment.deployed("newer")
    assert deployment.gate.admit(tend=True) == ["newer"]


def test_such_a_job_is_never_begun_with_less_than_it_asks_for_not_even_from_a_slot(deployment: Mixed) -> None:
    deployment.accepted_elsewhere("newer", row(1), only_columns=["price"])
    job = deployment.jobs.get("newer")
    assert job is not None and deployment.slots.claim(deployment.slots.read(), job, 3, "dead")
    deployment.gate.admit(tend=True)
    assert deployment.service.executions == {}
    assert list(deployment.slots.read().holders) == ["newer"]
    deployment.deployed("newer")
    deployment.gate.admit(tend=True)
    assert list(deployment.service.executions) == ["newer"]


def test_a_askedthat_cannot_be_read_at_all_is_a_job_that_can_be_seen_and_cancelled(deployment: Mixed) -> None:
    deployment.accepted_elsewhere("newer", row(1), profile="monthly")
    deployment.gate.admit(tend=True)
    assert deployment.gate.standing("newer").job.status == "waiting"
    assert deployment.gate.cancel("newer", "ann").status == "cancelled"
    assert deployment.service.executions == {}


def test_a_job_that_another_version_has_ended_answers_for_its_key(deployment: Mixed) -> None:
    deployment.accepted_elsewhere("known", row(1), no_longer="there")
    deployment.jobs.end("known", "succeeded", deployment.service.now, settled=True)
    assert deployment.gate.add(row(1), "known", "caller").status == "ended"


@pytest.mark.parametrize(
    "asked", [RunRequest(), row(3, RunPriority.critical), CheckRequest()], ids=["weekly", "few", "check"]
)
def test_what_is_as_usual_is_not_said_so_that_a_version_without_it_can_read_the_rest(
    deployment: Mixed, asked: Any
) -> None:
    """While a stack is updated, or an update taken back, for moments one function is newer than another."""
    deployment.gate.add(asked, "a", "caller")
    begun = json.loads(deployment.service.executions["a"].text)
    stored = deployment._dynamodb.get_item(TableName="control", Key={"pk": {"S": "job/a"}})["Item"]["request"]["S"]
    for said in (json.loads(stored), begun):
        assert set(said) <= {"profile", "refs", "priority", "accepted_at"}
        assert said["profile"] == asked.profile, "the state machine chooses the way by it"
        assert type(asked).model_validate(said).profile == asked.profile
    job = deployment.jobs.get("a")
    assert job is not None and job.request == asked

"""`check` starts once, waits, shows everything, and ends by what was found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import psycopg
import pytest

from hybrid_sync.admission.startable import CheckRequest
from hybrid_sync.check.model import error, note, outcome, warning
from hybrid_sync.runs.starter import RunState
from hybrid_sync.services.checks import check, checked
from hybrid_sync.services.messages.checks import CheckAsked, CheckedAsked
from tests.cli.conftest import Command
from tests.cli.gateway import PERSON, Desk
from tests.contract import accounts
from tests.gate.table import control_table

Store = psycopg.Connection[Any]
GRANT = error(
    "missing_privilege", "The role r lacks 1 grants (select).", 'Run as the owner: grant select on "t" to "r";'
)
SLOW = warning("slow_line", "legacy takes 80 ms for a round trip.", "Deploy to the region of the databases.")
SEEN = note("entities", "3 of 3 entities of the catalog fit both databases.")


class Machine:
    """Executions that end at the second look, behind the gate."""

    def __init__(self, *findings: Any, status: str = "succeeded") -> None:
        self.findings, self.status = findings, status
        self.started: list[tuple[str, CheckRequest]] = []
        self.looks = 0

    def begin(self, request: CheckRequest, name: str) -> None:
        self.started.append((name, request))

    def stop(self, name: str) -> bool:
        return False

    def status(self, name: str) -> str | None:
        return "running" if name in dict(self.started) else None

    def state(self, name: str) -> RunState:
        self.looks += 1
        now = datetime.now(UTC)
        if self.looks == 1:
            return RunState(name, "running", now, None)
        told = outcome(name, list(self.findings), "s3://bucket/reports/x.json").model_dump_json()
        ended = self.status == "succeeded"
        return RunState(name, self.status, now, now, "" if ended else "CheckFailed: why", told if ended else "")


def admit(desk: Desk, machine: Machine, dynamodb: Any) -> Machine:
    desk.admit_by(machine, "control", dynamodb)
    return machine


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    with accounts.account("moto", str):
        client = boto3.client("dynamodb")
        with control_table(client, "control"):
            yield client


@pytest.mark.parametrize(("findings", "status"), [((SLOW, SEEN), 0), ((GRANT, SLOW, SEEN), 1)])
def test_only_an_error_makes_it_fail(
    findings: Any, status: int, desk: Desk, store: Store, hybrid_sync: Command, dynamodb: Any
) -> None:
    machine = admit(desk, Machine(*findings), dynamodb)
    said = hybrid_sync("check", "--disk-gb", "100")
    assert said.status == status, said.err
    assert [(r.profile, r.disk_gb, r.requested_by) for _, r in machine.started] == [("check", 100.0, PERSON)]
    assert all(finding.code in said.out for finding in findings)
    assert ("has NOT passed" in said.out) is bool(status)
    # Each look is a call, and one of them has started something.
    assert store.execute("select command, outcome from hybrid_sync.audit").fetchall() == [("check", "done")]


def test_as_json_it_is_the_outcome_and_nothing_else(
    desk: Desk, store: Store, hybrid_sync: Command, dynamodb: Any
) -> None:
    admit(desk, Machine(GRANT, SEEN), dynamodb)
    told = json.loads(hybrid_sync("check", "--json").out)
    assert not told["passed"]
    assert [f["remedy"] for f in told["findings"]] == [GRANT.remedy, ""]


def test_a_check_that_could_not_be_made_is_told_in_a_sentence(
    desk: Desk, store: Store, hybrid_sync: Command, dynamodb: Any
) -> None:
    admit(desk, Machine(status="failed"), dynamodb)
    said = hybrid_sync("check")
    assert said.status == 1
    assert "could not be made: CheckFailed: why" in said.err


def test_a_check_passes_the_gate_like_every_run_and_says_why_it_waits(
    desk: Desk, store: Store, hybrid_sync: Command, dynamodb: Any
) -> None:
    machine = admit(desk, Machine(SEEN), dynamodb)
    desk.gate.pause("by ann")
    asked = CheckAsked(check_id="check-20261129T003000-91b7c0")
    check(desk, asked, PERSON)
    waits = checked(desk, CheckedAsked(check_id=asked.check_id), PERSON)
    assert (waits.running, waits.why, machine.started) == (True, "Starts are paused: by ann.", [])
    assert desk.gate.resume() == [asked.check_id]
    assert checked(desk, CheckedAsked(check_id=asked.check_id), PERSON).running

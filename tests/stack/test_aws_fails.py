"""AWS refuses, or loses its answer, in mid-run: what a run says of itself is true all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from hybrid_sync.runs.holds import holds, release
from hybrid_sync_cli.emulator import faults
from hybrid_sync_cli.emulator.faults import Fault
from hybrid_sync_cli.stack import STACK_NAME, Stack, home
from hybrid_sync_cli.stack.aws import Aws
from hybrid_sync_cli.stack.processes import Processes
from tests.drills.mailbox import Mailbox
from tests.stack.test_trace import emulated
from tests.stack.world import fill

ENTITIES = ["offices"]
DAILY = {"profile": "daily", "entities": ENTITIES}


@pytest.fixture(scope="module")
def stack(deployed: Stack) -> Stack:
    """With a small world, synced once."""
    fill(deployed)
    assert emulated(deployed, "before-aws-fails", DAILY).end == ("SUCCEEDED", "")
    return deployed


@contextmanager
def failing(*some: Fault) -> Iterator[None]:
    """AWS fails so, for functions alone."""
    file = Aws(Processes(home.directory())).faults
    faults.put(file, *some)
    try:
        yield
    finally:
        faults.put(file)


def renamed(stack: Stack, name: str) -> int:
    """How many offices have a new name in legacy."""
    with psycopg.connect(stack.legacy_dsn) as legacy:
        return legacy.execute("update dispatch_office set name = %s || id", (name,)).rowcount


def carried(stack: Stack, name: str) -> int:
    """How many of them have it in the target."""
    with psycopg.connect(stack.target_dsn) as target:
        row = target.execute("select count(*) from offices where name ~ ('^' || %s || '[0-9]+$')", (name,)).fetchone()
    assert row is not None
    return int(row[0])


def test_a_plan_that_meets_another_attempts_write_carries_every_change(stack: Stack) -> None:
    """S3 answers 409 to one of two that write an object at once, and the other one may come to nothing."""
    changed = renamed(stack, "conflict")
    with failing(Fault("s3", "ConditionalRequestConflict", 409, operation="PUT", carries="manifests/", times=4)):
        assert emulated(stack, "plan-conflicts", DAILY).end == ("SUCCEEDED", "")
    assert carried(stack, "conflict") == changed


def test_a_plan_whose_answers_are_lost_carries_every_change(stack: Stack) -> None:
    """It is written, and each repetition meets it."""
    changed = renamed(stack, "lost")
    with failing(Fault("s3", "InternalError", 500, operation="PUT", carries="manifests/", times=2, done=True)):
        assert emulated(stack, "plan-lost", DAILY).end == ("SUCCEEDED", "")
    assert carried(stack, "lost") == changed


# --- the end of a run that fails --------------------------------------------------------------------------------------


@pytest.fixture
def failing_run(stack: Stack) -> Iterator[dict[str, Any]]:
    """The request of a run that fails, and then wants what it has not verified to be held."""
    with psycopg.connect(stack.legacy_dsn) as legacy:
        legacy.execute("alter table dispatch_office rename column name to name_of_old")
    yield {**DAILY, "on_failure": "hold"}
    with psycopg.connect(stack.legacy_dsn) as legacy:
        legacy.execute("alter table dispatch_office rename column name_of_old to name")
    with psycopg.connect(stack.target_dsn) as target:
        release(target, [held.entity for held in holds(target)])


@pytest.fixture
def mailbox(stack: Stack) -> Iterator[Mailbox]:
    opened = Mailbox(stack)
    yield opened
    opened.close()


def held_by(stack: Stack) -> dict[str, str]:
    """Who holds which entity."""
    with psycopg.connect(stack.target_dsn) as target:
        return {held.entity: held.by for held in holds(target)}


def test_a_bucket_that_takes_no_report_keeps_no_policy_from_applying_and_nobody_from_hearing(
    stack: Stack, failing_run: dict[str, Any], mailbox: Mailbox
) -> None:
    with failing(Fault("s3", "AccessDenied", 403, operation="PUT", carries="reports/")):
        assert emulated(stack, "no-copies", failing_run).end == ("FAILED", "RunFailed")
    assert held_by(stack) == {"offices": "no-copies"}
    said = "\n".join(mail.whole for mail in mailbox.look())
    assert "Done without: AWS refused access to the data bucket (AccessDenied)." in said


def test_a_topic_that_takes_no_alert_keeps_no_policy_from_applying_and_the_clock_sends_it_later(
    stack: Stack, failing_run: dict[str, Any], mailbox: Mailbox
) -> None:
    with psycopg.connect(stack.target_dsn) as target:
        target.execute("delete from hybrid_sync.alert")
    with failing(Fault("sns", "AuthorizationError", 403), Fault("sesv2", "AccessDeniedException", 403)):
        assert emulated(stack, "no-alert", failing_run).end == ("FAILED", "RunUnreported")
    assert held_by(stack) == {"offices": "no-alert"}
    assert [mail for mail in mailbox.look() if "no-alert" in mail.whole] == []
    stack.client("lambda").invoke(FunctionName=f"{STACK_NAME}-admit-runs", Payload=b"{}")
    assert any("no-alert" in mail.whole for mail in mailbox.look())

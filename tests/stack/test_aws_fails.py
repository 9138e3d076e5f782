"""AWS refuses, or loses its answer, in mid-run: what a run says of itself is true all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from hybrid_sync_cli.emulator import faults
from hybrid_sync_cli.emulator.faults import Fault
from hybrid_sync_cli.stack import Stack, home
from hybrid_sync_cli.stack.aws import Aws
from hybrid_sync_cli.stack.processes import Processes
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

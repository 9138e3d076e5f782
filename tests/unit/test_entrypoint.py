"""The border of every function lets two error names out and no cell value."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from io import StringIO
from typing import Any

import psycopg.errors
import pytest

from hybrid_sync.contracts import BatchResult, BatchTask, EntityTask, PlannedEntity
from hybrid_sync.entrypoint import logger, step
from hybrid_sync.errors import (
    AwayError,
    AwsThrottled,
    Contention,
    EntityHeld,
    LegacyUnavailable,
    LoadShed,
    PermanentError,
    RunNotFound,
    SyncError,
    TargetUnavailable,
    ThrottledError,
    TooManyConnections,
    TransientError,
)
from hybrid_sync.metering import METER, MeasuredCall
from tests.unit.lambdas import FakeContext

EVENT = {"run_id": "weekly-1", "entity": "orders"}
SECRET = "anna@example.org"


def raising(error: Exception) -> Any:
    @step(EntityTask)
    def handler(task: EntityTask) -> BatchResult:
        raise error

    return handler


@pytest.fixture
def logged() -> Iterator[StringIO]:
    """What goes to the log."""
    handler = logger.registered_handler
    assert isinstance(handler, logging.StreamHandler)
    stream = StringIO()
    before = handler.setStream(stream)
    yield stream
    handler.setStream(before)


def test_a_result_leaves_as_plain_json() -> None:
    @step(EntityTask)
    def handler(task: EntityTask) -> BatchResult:
        assert task == EntityTask(run_id="weekly-1", entity="orders")
        return BatchResult(read=3)

    result = handler(EVENT, FakeContext())
    assert json.loads(json.dumps(result)) == BatchResult(read=3).model_dump()


@pytest.mark.parametrize("error", [LegacyUnavailable("Legacy is away.", "Wait."), Contention("Busy.")])
def test_what_time_heals_is_transient(error: SyncError) -> None:
    with pytest.raises(TransientError) as caught:
        raising(error)(EVENT, FakeContext())
    assert str(caught.value) == f"{error.code}: {error}"


def test_what_a_person_must_heal_is_permanent_and_carries_the_remedy() -> None:
    with pytest.raises(PermanentError) as caught:
        raising(EntityHeld("Entity orders is held.", "Release it."))(EVENT, FakeContext())
    assert str(caught.value) == "entity_held: Entity orders is held. Release it."


def test_the_text_of_an_unknown_exception_stays_inside(logged: StringIO) -> None:
    error = psycopg.errors.UniqueViolation(f"DETAIL:  Key (email)=({SECRET}) already exists.")
    with pytest.raises(PermanentError) as caught:
        raising(error)(EVENT, FakeContext())
    assert str(caught.value) == "unexpected: UniqueViolation"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert SECRET not in logged.getvalue()
    assert "tests.unit.test_entrypoint:" in logged.getvalue()


def test_a_connection_that_was_lost_outside_of_a_transaction_is_tried_again() -> None:
    with pytest.raises(TransientError) as caught:
        raising(psycopg.errors.AdminShutdown(SECRET))(EVENT, FakeContext())
    assert str(caught.value) == "unexpected: AdminShutdown"


def test_an_event_that_does_not_fit_names_its_fields_and_no_value(logged: StringIO) -> None:
    with pytest.raises(PermanentError) as caught:
        raising(RuntimeError())({"run_id": [SECRET], "entiti": SECRET}, FakeContext())
    assert str(caught.value).startswith("request_rejected: run_id: ")
    assert "entiti" in str(caught.value)
    assert SECRET not in str(caught.value) + logged.getvalue()


def test_a_failure_is_a_metric_of_the_deployment_and_a_call_that_went_well_writes_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    @step(EntityTask)
    def well(task: EntityTask) -> None:
        return None

    well(EVENT, FakeContext())
    with pytest.raises(TransientError):
        raising(Contention("Busy."))(EVENT, FakeContext())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [written] = [line for line in lines if "_aws" in line]
    assert written["TransientFailures"] == [1.0]
    assert written["service"] == "hybrid-sync"
    [directive] = written["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["service"]]
    assert directive["Metrics"] == [{"Name": "TransientFailures", "Unit": "Count"}]


def test_what_a_call_has_used_is_recorded_with_the_states_that_it_led_to() -> None:
    heard: list[tuple[MeasuredCall, bool]] = []

    @step(EntityTask, name="plan_entity", record_call=lambda call, *, now: heard.append((call, now)))
    def handler(task: EntityTask) -> PlannedEntity:
        METER._sent("before-send.dynamodb.GetItem")
        return PlannedEntity(run_id=task.run_id, entity=task.entity, batches=2, bucket="b", manifest="m")

    handler(EVENT, FakeContext())
    [(call, now)] = heard
    assert now
    assert (call.run_id, call.entity, call.function) == ("weekly-1", "orders", "hybrid-sync-sync-batch")
    assert (call.worker, call.memory_mib) == ("2026/11/23/[$LATEST]0123", 512)
    assert call.peak_rss_kib >= 10_000
    assert call.milliseconds >= 1
    # PlanEntity; AnyBatches, Batches, AnythingToSettle, AnyMore.
    assert (call.calls, call.transitions, call.used.requests) == (1, 5, {"dynamodb:GetItem": 1})


@pytest.mark.parametrize(
    ("failure", "leaves_as", "now"),
    [
        (Contention("Busy."), TransientError, True),
        (RunNotFound("There is none."), PermanentError, True),
        (ValueError("What nobody expects."), PermanentError, True),
        (TargetUnavailable("It breaks off."), TransientError, False),
        (TooManyConnections("It has no more."), ThrottledError, False),
        (LoadShed("It has to be spared."), AwayError, False),
    ],
)
def test_a_call_that_fails_is_counted_at_once_unless_a_database_is_away(
    failure: Exception, leaves_as: type[Exception], now: bool
) -> None:
    heard: list[tuple[int, int, bool]] = []

    @step(EntityTask, record_call=lambda call, *, now: heard.append((call.calls, call.transitions, now)))
    def handler(task: EntityTask) -> None:
        raise failure

    with pytest.raises(leaves_as):
        handler(EVENT, FakeContext())
    assert heard == [(1, 1, now)]


@pytest.mark.parametrize("failure", [None, Contention("Busy.")])
def test_a_call_ends_after_its_record_whatever_became_of_it(failure: Exception | None) -> None:
    order: list[str] = []

    @step(EntityTask, record_call=lambda call, *, now: order.append("recorded"), end_call=lambda: order.append("ended"))
    def handler(task: EntityTask) -> None:
        order.append("called")
        if failure:
            raise failure

    with nullcontext() if failure is None else pytest.raises(TransientError):
        handler(EVENT, FakeContext())
    assert order == ["called", "recorded", "ended"]


def test_a_witness_that_fails_fails_nothing(logged: StringIO) -> None:
    def forgetful(call: MeasuredCall, *, now: bool) -> None:
        raise ValueError(SECRET)

    @step(EntityTask, record_call=forgetful)
    def handler(task: EntityTask) -> BatchResult:
        return BatchResult(read=1)

    assert handler(EVENT, FakeContext())["read"] == 1
    assert "usage not recorded" in logged.getvalue()
    assert SECRET not in logged.getvalue()


def test_peak_memory_remembers_what_has_been_given_back() -> None:
    # A process of its own: the peak of this one may lie far above what it holds now, and would not move.
    program = (
        "from hybrid_sync.entrypoint import peak_rss_kib\n"
        "before = peak_rss_kib()\n"
        "block = bytearray(b'x') * (256 * 1024 * 1024)\n"
        "del block\n"
        "print(peak_rss_kib() - before)\n"
    )
    grown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert int(grown) > 200 * 1024


def test_each_line_of_the_log_says_of_which_run_entity_and_batch_it_is(logged: StringIO) -> None:
    @step(BatchTask)
    def handler(task: BatchTask) -> None:
        logger.info("within")
        raise Contention("busy")

    batch = {**EVENT, "source": "main", "lo": 3, "hi": 9, "buckets": [[3, 4]]}
    with pytest.raises(TransientError):
        handler(batch, FakeContext())
    raising_nothing = step(EntityTask)(lambda task: None)
    raising_nothing(EVENT, FakeContext())
    lines = [json.loads(line) for line in logged.getvalue().splitlines() if '"level"' in line]
    told = [(line["message"], line["run_id"], line["entity"], line.get("batch")) for line in lines]
    assert told == [
        ("within", "weekly-1", "orders", "main 3..9"),
        ("step failed", "weekly-1", "orders", "main 3..9"),
        ("step done", "weekly-1", "orders", None),
    ]


@pytest.mark.parametrize("error", [AwsThrottled("busy"), TooManyConnections("full")])
def test_what_waits_for_capacity_leaves_under_a_name_of_its_own(error: SyncError) -> None:
    with pytest.raises(ThrottledError) as caught:
        raising(error)(EVENT, FakeContext())
    assert str(caught.value).startswith(f"{error.code}: ")

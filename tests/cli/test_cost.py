"""`cost` prices what the workers have counted, of a month, an entity or a run; and what somebody supposes."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from hybrid_sync.cost.prices import PRICES, Item
from hybrid_sync.errors import TargetUnavailable
from hybrid_sync.metering import MeasuredCall, Used
from hybrid_sync.postgres import Connection, connect
from hybrid_sync.runs.usage import Recorder
from hybrid_sync.timing import Times
from tests.cli.conftest import Command, say
from tests.cli.gateway import Desk

ASKED = Used({"s3:PutObject": 3, "dynamodb:GetItem": 4, "secretsmanager:GetSecretValue": 2}, 8.5, 6.0)


def call(run_id: str, entity: str = "", function: str = "sync-batch", **more: object) -> MeasuredCall:
    usual = {"memory_mib": 512, "peak_rss_kib": 80_000, "milliseconds": 1_000, "transitions": 3, "used": ASKED}
    return MeasuredCall(run_id, entity, function, "worker", **(usual | more))  # type: ignore[arg-type] # as a test says


@pytest.fixture
def runs(desk: Desk, store: psycopg.Connection[Any]) -> Recorder:
    """Two runs of this month."""
    store.execute(
        "insert into hybrid_sync.run (run_id, profile, trigger, priority, request, status, fence, catalog_hash,"
        " build, deadline_at, started_at) select id, profile, 'hand', 'normal', '{}', 'succeeded', '{}', '', '',"
        " now(), now() from (values ('weekly-1', 'weekly'), ('asked-1', 'on_demand')) v(id, profile)"
    )
    return Recorder(lambda: connect(desk.target_dsn, "target"))


def test_calls_add_up_and_one_that_could_not_be_recorded_goes_with_the_next(runs: Recorder, desk: Desk) -> None:
    runs.record(call("weekly-1", "orders"), now=False)
    for _ in range(2):
        runs.record(call("weekly-1", "orders", used=Used({"s3:PutObject": 1, "sqs:SendMessage": 2})), now=True)
    with psycopg.connect(desk.target_dsn) as target:
        [row] = target.execute(
            "select calls, milliseconds, transitions, read_units, write_units, requests from hybrid_sync.run_usage"
        ).fetchall()
    requests = {"s3:PutObject": 5, "sqs:SendMessage": 4, "dynamodb:GetItem": 4, "secretsmanager:GetSecretValue": 2}
    assert row == (3, 3_000, 9, 8.5, 6.0, requests)


def test_times_of_calls_add_up_and_keep_their_shortest_and_longest(runs: Recorder, desk: Desk) -> None:
    runs.record(
        call("weekly-1", "orders", times={"read": Times(1, 70, 70, 70), "read legacy": Times(2, 60, 10, 50)}), now=True
    )
    runs.record(call("weekly-1", "orders", times={"read": Times(2, 50, 20, 30), "lock": Times(1, 5, 5, 5)}), now=True)
    with psycopg.connect(desk.target_dsn) as target:
        [(times,)] = target.execute("select times from hybrid_sync.run_usage").fetchall()
    assert times == {"read": [3, 120, 20, 70], "read legacy": [2, 60, 10, 50], "lock": [1, 5, 5, 5]}


def test_what_is_asked_to_record_a_call_is_the_calls_too(runs: Recorder, desk: Desk) -> None:
    asked = iter((Used({"dynamodb:GetItem": 1}, 0.5), Used(), Used({"dynamodb:GetItem": 1}, 0.5)))
    away = [True]

    def connected() -> Connection:
        if away:
            away.clear()
            raise TargetUnavailable("It lets nobody in.")
        return connect(desk.target_dsn, "target")

    recorder = Recorder(connected, lambda: next(asked))
    with pytest.raises(TargetUnavailable):
        recorder.record(call("weekly-1"), now=True)
    for _ in range(2):
        recorder.record(call("weekly-1"), now=True)
    with psycopg.connect(desk.target_dsn) as target:
        [row] = target.execute("select calls, requests->>'dynamodb:GetItem' from hybrid_sync.run_usage").fetchall()
    assert row == (3, str(3 * ASKED.requests["dynamodb:GetItem"] + 2))


def test_a_run_costs_what_it_used_by_the_price_table(runs: Recorder, hybrid_sync: Command) -> None:
    runs.record(call("weekly-1", "orders"), now=True)
    runs.record(call("weekly-1", function="plan-run", memory_mib=256), now=True)
    told = json.loads(hybrid_sync("cost", "weekly-1", "--json").out)
    quantities = {item["item"]: item["quantity"] for item in told["items"]}
    assert quantities == {
        "lambda_requests": 2, "lambda_gb_seconds": 0.75, "transitions": 6, "read_units": 17, "write_units": 12,
        "s3_writes": 6, "secret_calls": 4, "log_gb": pytest.approx(4e-6),
    }  # fmt: skip
    due = sum((PRICES[Item[name]].of(Decimal(str(number))) for name, number in quantities.items()), Decimal(0))
    assert told["dollars"] == pytest.approx(float(due), abs=1e-6)
    assert {(one["entity"], one["runs"]) for one in told["entities"]} == {("orders", 1), ("", 1)}


def test_a_month_has_its_runs_requests_and_what_stands_a_forecast_and_a_budget(
    runs: Recorder, hybrid_sync: Command
) -> None:
    runs.record(call("weekly-1", "orders"), now=True)
    runs.record(call("asked-1", "payments", function="sync-keys"), now=True)
    said = hybrid_sync("cost", "--json")
    told = json.loads(said.out)
    assert told["since"] == f"{datetime.now(UTC):%Y-%m-01}T00:00:00Z"
    assert set(told["parts"]) == {"runs", "requests", "clocks", "watching", "keeping"}
    assert told["dollars"] == pytest.approx(sum(told["parts"].values()), abs=1e-5)
    assert told["dollars"] <= told["forecast"]
    assert {(one["entity"], one["profile"]) for one in told["entities"]} == {
        ("orders", "weekly"),
        ("payments", "on_demand"),
    }
    assert "of a budget of $150" in hybrid_sync("cost").out


def test_latest_is_the_run_that_was_asked_for_last(
    runs: Recorder, store: psycopg.Connection[Any], hybrid_sync: Command
) -> None:
    store.execute("update hybrid_sync.run set started_at = now() - interval '1 minute' where run_id = 'asked-1'")
    runs.record(call("weekly-1", "orders"), now=True)
    said = hybrid_sync("cost", "latest")
    assert (said.status, said.err) == (0, "latest: weekly-1\n")
    assert "Run weekly-1 has cost $" in said.out


def test_an_unknown_run_is_named(store: psycopg.Connection[Any], hybrid_sync: Command) -> None:
    said = hybrid_sync("cost", "weekly-0")
    assert (said.status, "weekly-0" in said.err) == (1, True)


def test_a_schedule_is_priced_as_its_json_says(capsys: pytest.CaptureFixture[str]) -> None:
    said = say(capsys, "cost", "--rows", "3500000", "--changes", "30000", "--syncs", "200", "--json")
    told = json.loads(said.out)
    assert told["dollars"] < 15
    assert told["dollars"] == pytest.approx(sum(item["dollars"] for item in told["items"]))
    assert told["dollars"] == pytest.approx(sum(told["parts"].values()))
    assert "hourly runs" not in told["parts"]
    printed = say(capsys, "cost", "--rows", "3500000", "--changes", "30000", "--syncs", "200").out
    assert re.findall(r"^About \$([\d.]+) a month", printed, re.M) == [f"{told['dollars']:.2f}"]
    assert all(f"{Item[item['item']]} " in printed for item in told["items"])


@pytest.mark.parametrize(
    "words",
    ["--rows 0", "--rows -1", "--rows many", "--rows 1e6", "--changes 9999999999999", "--syncs 0.5", "--syncs x"],
)
def test_sizes_that_nobody_has_are_refused_in_a_sentence(capsys: pytest.CaptureFixture[str], words: str) -> None:
    said = say(capsys, "cost", *words.split())
    assert (said.status, said.out) == (2, "")
    assert said.err.splitlines()[-1].startswith(f"Error: Invalid value for '{words.split()[0]}'")


def test_an_hourly_schedule_has_hourly_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert "hourly runs" in say(capsys, "cost", "--schedule", "hourly").out

"""`/v1/metrics` tells what CloudWatch is told, and what the databases say."""

from __future__ import annotations

import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from hybrid_sync.breaker.state import Breaker
from hybrid_sync.contracts import BatchResult
from hybrid_sync.measures import BY_NAME, MEASURES, Source, of_run
from hybrid_sync.services.measured import exposition
from tests.cli.gateway import Desk
from tests.report.records import add_batch, add_entity, add_failed, add_run, keep_report

# OpenMetrics 1.0: a family's type and help, its samples, and the end.
LINE = re.compile(
    r"# (TYPE hybrid_sync_\w+ gauge|HELP hybrid_sync_\w+ .+|EOF)|hybrid_sync_\w+({profile=\"\w+\"})? [-\d.e+]+"
)


@pytest.fixture
def told(desk: Desk, store: psycopg.Connection[Any]) -> str:
    store.execute("create table hybrid_sync.migration (name text, applied_at timestamptz not null default now())")
    add_run(store, "r1")
    add_entity(store, "r1", "payments")
    add_batch(store, "r1", "payments", 0, BatchResult(read=7, inserted=3, updated=4), "2026-11-01 12:00:00Z")
    add_failed(store, 17, "missing_parent")
    keep_report(store, "r1")
    desk.gate = SimpleNamespace(oldest_wait=lambda: timedelta(minutes=2))
    away = Breaker(away_since=desk.now())
    desk.breakers = SimpleNamespace(both=lambda: {"legacy": away, "target": Breaker()})
    return exposition(desk)


def value(told: str, name: str, labels: str = "") -> float:
    [line] = re.findall(rf"^{BY_NAME[name].family}{re.escape(labels)} (\S+)$", told, re.M)
    return float(line)


def test_it_is_written_as_open_metrics(told: str) -> None:
    lines = told.split("\n")
    assert lines[-2:] == ["# EOF", ""]
    assert [line for line in lines[:-1] if not LINE.fullmatch(line)] == []
    families = re.findall(r"^# TYPE (\w+)", told, re.M)
    assert len(families) == len(set(families))


def test_everything_but_what_only_happens_is_told(told: str) -> None:
    families = set(re.findall(r"^# TYPE (\w+)", told, re.M))
    wanted = {measure.family for measure in MEASURES if measure.source is not Source.event}
    assert wanted - families <= {BY_NAME["StalenessDays"].family}  # an average over nothing


def test_a_runs_numbers_are_those_of_its_report(told: str, store: psycopg.Connection[Any]) -> None:
    row = store.execute("select profile, report from hybrid_sync.run where run_id = 'r1'").fetchone()
    assert row is not None
    numbers = of_run(row[1])
    assert set(numbers) == {measure.name for measure in MEASURES if measure.source is Source.run}
    assert {name: value(told, name, f'{{profile="{row[0]}"}}') for name in numbers} == pytest.approx(numbers)
    assert (numbers["RowsInserted"], numbers["RowsUpdated"]) == (3, 4)


def test_the_deployments_numbers_are_those_of_the_databases(told: str, store: psycopg.Connection[Any]) -> None:
    [(failed,)] = store.execute("select count(*) from hybrid_sync.failed_record where status <> 'resolved'").fetchall()
    assert value(told, "FailedRecords") == failed == 1
    assert (value(told, "QueueAgeSeconds"), value(told, "DatabasesAway")) == (120, 1)
    assert 0 < value(told, "MonthDollars") <= value(told, "ForecastDollars")

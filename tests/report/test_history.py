"""Missed records by cause over the runs, freshness, and the runs that a run is compared with, on a real PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from hybrid_sync.contracts import BatchResult
from hybrid_sync.report.summary import summarise
from tests.report.records import (
    CATALOG,
    EQUATION,
    add_batch,
    add_entity,
    add_failed,
    add_run,
    keep_report,
    money_line,
    move_run,
)

Store = psycopg.Connection[Any]


def two_weeks(store: Store) -> None:
    """`r1` with three failed records, and a week later `r2`, in which one was resolved and another one came."""
    add_run(store, "r1")
    add_entity(store, "r1", "payments", conservation=EQUATION, money=[money_line("total", "USD", "1.00")])
    add_batch(store, "r1", "payments", 0, BatchResult(read=60, inserted=50, failed=3), "2026-01-04 01:00:03Z")
    for key, reason in ((7, "missing_parent"), (8, "missing_parent"), (9, "bad_json")):
        add_failed(store, key, reason, seen="2026-01-04 01:00Z")
    keep_report(store, "r1")
    add_run(store, "r2")
    move_run(store, "r2", 7)
    add_entity(store, "r2", "payments", conservation={**EQUATION, "current": 88, "absent": 1})
    store.execute("update hybrid_sync.failed_record set status = 'resolved' where key = '{8}'")
    add_failed(store, 10, "unknown_enum", first_run="r2", seen="2026-01-11 01:00Z")


def test_causes_stand_oldest_first_with_what_they_were_before(store: Store) -> None:
    two_weeks(store)

    causes = summarise(store, "r2", CATALOG).causes

    assert [(c.reason, c.records, c.new, c.before) for c in causes] == [
        ("bad_json", 1, 0, (1,)),
        ("missing_parent", 1, 0, (2,)),
        ("unknown_enum", 1, 1, (0,)),
    ]
    assert causes[0].oldest == datetime(2026, 1, 4, 1, 0, tzinfo=UTC)
    assert causes[0].share == 1 / 3


def test_an_older_rare_cause_stands_before_a_younger_frequent_one(store: Store) -> None:
    add_run(store, "r1")
    add_entity(store, "r1", "payments")
    for key in range(5):
        add_failed(store, key, "bad_json", seen="2026-01-04 01:00Z")
    add_failed(store, 9, "unknown_enum", seen="2026-01-03 01:00Z")

    summary = summarise(store, "r1", CATALOG)

    assert [c.reason for c in summary.causes] == ["unknown_enum", "bad_json"]
    assert [r.ref for r in summary.records][:2] == ["payments/payment:9", "payments/payment:0"]


def test_a_run_is_compared_with_earlier_runs_of_its_profile(store: Store) -> None:
    two_weeks(store)

    [before] = summarise(store, "r2", CATALOG).past

    assert (before.run_id, before.read, before.written, before.failed) == ("r1", 60, 50, 3)
    assert (before.due, before.current, before.adds_up) == (90, 87, "explained")
    assert (before.missed, before.missed_records) == ({"missing_parent": 2, "bad_json": 1}, 3)
    assert summarise(store, "r1", CATALOG).past == ()


def test_runs_of_another_profile_or_another_scope_are_not_compared(store: Store) -> None:
    for place, name in enumerate(("daily", "part", "running", "this")):
        add_run(store, name, "running" if name == "running" else "succeeded")
        move_run(store, name, place)
    store.execute("update hybrid_sync.run set profile = 'daily' where run_id = 'daily'")
    store.execute("""update hybrid_sync.run set request = '{"entities": ["payments"]}' where run_id = 'part'""")

    assert summarise(store, "this", CATALOG).past == ()


def test_earlier_runs_stand_oldest_first_and_only_the_last_ones(store: Store) -> None:
    for place in range(12):
        add_run(store, f"r{place}")
        move_run(store, f"r{place}", place)

    past = summarise(store, "r11", CATALOG).past

    assert [run.run_id for run in past] == [f"r{place}" for place in range(3, 11)]


def test_a_run_that_kept_no_count_of_its_missed_records_says_so(store: Store) -> None:
    two_weeks(store)
    store.execute("update hybrid_sync.run set report = %s where run_id = 'r1'", (Jsonb({"shape": "of long ago"}),))

    summary = summarise(store, "r2", CATALOG)

    assert summary.past[0].missed is None
    assert summary.causes[0].before == (None,)


def test_a_record_names_the_parent_that_it_waits_for(store: Store) -> None:
    add_run(store, "r1")
    add_entity(store, "r1", "payments")
    add_failed(store, 7, "missing_parent")
    parent = Jsonb({"entity": "offices", "source": "office", "key": [12]})
    store.execute("update hybrid_sync.failed_record set waits_for = %s, column_name = 'office_id'", (parent,))

    summary = summarise(store, "r1", CATALOG)

    assert summary.records[0].waits_for == "offices/office:12"
    [detail] = summary.missed[0].details
    assert (detail.source, detail.column, detail.parent, detail.records) == ("payment", "office_id", "offices", 1)


def test_a_frequent_cause_does_not_hide_the_records_of_a_rare_one(store: Store) -> None:
    add_run(store, "r1")
    add_entity(store, "r1", "payments")
    for key in range(60):
        add_failed(store, key, "bad_json", seen="2026-01-04 01:00Z")
    add_failed(store, 99, "unknown_enum", seen="2026-01-05 01:00Z")

    listed = [record.reason for record in summarise(store, "r1", CATALOG).records]

    assert listed.count("bad_json") == 25
    assert listed[-1] == "unknown_enum"


def test_a_component_is_complete_up_to_the_fence_that_it_moved_to(store: Store) -> None:
    add_run(store, "r1")
    add_entity(store, "r1", "payments", conservation=EQUATION)
    add_entity(store, "r1", "offices", status="failed")
    store.execute("""update hybrid_sync.run set fence = '{"taken_at": "2026-01-04T00:59:59Z"}'""")
    store.execute(
        "update hybrid_sync.run_entity set fence_at_start = %s where entity = 'offices'",
        (Jsonb({"fence": {"taken_at": "2025-12-28T00:59:59Z"}}),),
    )

    offices, payments = summarise(store, "r1", CATALOG).entities

    assert payments.complete_until == datetime(2026, 1, 4, 0, 59, 59, tzinfo=UTC)
    assert offices.complete_until == datetime(2025, 12, 28, 0, 59, 59, tzinfo=UTC)


def test_a_fence_that_moved_after_the_run_does_not_make_the_run_fresher(store: Store) -> None:
    add_run(store, "r1")
    add_entity(store, "r1", "payments", status="failed")
    store.execute(
        """insert into hybrid_sync.fence (entity, fence, advanced_at)
           values ('payments', '{"taken_at": "2026-01-04T02:00:00Z"}', '2026-01-04 02:00Z')"""
    )

    assert summarise(store, "r1", CATALOG).entities[0].complete_until is None
    store.execute("update hybrid_sync.run set finished_at = '2026-01-04 03:00Z'")
    assert summarise(store, "r1", CATALOG).entities[0].complete_until == datetime(2026, 1, 4, 2, 0, tzinfo=UTC)


def test_what_a_run_says_nothing_about_is_said(store: Store) -> None:
    add_run(store, "r1")
    equation = {**EQUATION, "in_flight": 1}
    add_entity(store, "r1", "payments", conservation=equation, money=[money_line("total", "USD", "1.00")])

    sentences = " ".join(summarise(store, "r1", CATALOG).not_looked_at)

    assert "Not part of this run: offices." in sentences
    assert "contents were not compared, for no reconcile ran: all components." in sentences
    assert "3 rows of the target are gone from legacy; none of them was deleted." in sentences
    assert "1 row changed in legacy while the run was at work" in sentences
    assert "4 rows were born in the target" in sentences


def test_a_full_read_or_a_reconcile_compares_contents(store: Store) -> None:
    add_run(store, "r1")
    add_entity(store, "r1", "payments", conservation=EQUATION)
    store.execute("update hybrid_sync.run_entity set detection = 'full'")

    assert "reconcile" not in " ".join(summarise(store, "r1", CATALOG).not_looked_at)


def test_a_run_of_single_rows_says_that_it_saw_no_others(store: Store) -> None:
    add_run(store, "r1")
    add_entity(store, "r1", "payments", conservation=EQUATION)
    add_entity(store, "r1", "offices", status="failed")
    store.execute("update hybrid_sync.run_entity set detection = 'keys'")

    sentences = " ".join(summarise(store, "r1", CATALOG).not_looked_at)

    assert (
        "Only the rows that the request names were read and verified, and no others: offices and Payments." in sentences
    )
    assert "Neither rows nor money could be verified: offices." in sentences

"""A report on the terminal keeps every line whole, and names what failed without flooding the screen."""

from __future__ import annotations

import io
from typing import Any

import psycopg
from rich.console import Console

from hybrid_sync.report.summary import summarise
from hybrid_sync_cli.tables import SHOWN_FAILURES, report
from tests.report.records import CATALOG, EQUATION, add_entity, add_run, money_line

Store = psycopg.Connection[Any]


def shown(store: Store, run_id: str) -> str:
    out = io.StringIO()
    report(summarise(store, run_id, CATALOG), Console(file=out, width=180))
    return out.getvalue()


def test_money_that_differs_is_shown_from_both_sides(store: Store) -> None:
    add_run(store, "r1", "failed")
    money = [money_line("total", "JPY", "1200", target="1201")]
    add_entity(store, "r1", "payments", conservation=EQUATION, money=money)

    text = shown(store, "r1")

    assert "does NOT add up" in text
    assert "JPY 1,200" in text
    assert "JPY 1,201" in text


def test_only_the_first_failures_are_listed(store: Store) -> None:
    add_run(store, "r1", "failed")
    add_entity(store, "r1", "payments", status="failed", failure={"code": "entity_held", "text": "A sentence."})
    for number in range(SHOWN_FAILURES + 3):
        store.execute(
            "insert into hybrid_sync.run_failure (run_id, entity, state, error, cause)"
            " values ('r1', 'payments', %s, 'contention', 'Busy.')",
            (f"SyncBatch {number}",),
        )

    text = shown(store, "r1")

    assert "failed: entity_held" in text
    assert text.count("contention: Busy.") == SHOWN_FAILURES
    assert "… and 3 more: hybrid-sync report r1 --format md" in text


def test_a_long_line_is_not_cut_into_pieces(store: Store) -> None:
    add_run(store, "r1", "failed")
    store.execute(
        "insert into hybrid_sync.run_failure (run_id, state, error, cause) values ('r1', 'PlanRun', 'x', %s)",
        ("word " * 60 + "end",),
    )

    assert "word " * 60 + "end" in shown(store, "r1")

"""The life of one row on the terminal."""

from __future__ import annotations

import json
from typing import Any

import psycopg

from tests.cli.conftest import Command
from tests.report.records import add_failed, add_run

Store = psycopg.Connection[Any]


def test_the_life_of_a_row_is_told_with_its_runs(store: Store, hybrid_sync: Command) -> None:
    add_run(store, "r1")
    add_failed(store, 17, "missing_parent", seen="2026-11-01 12:00:00Z")
    store.execute("update hybrid_sync.failed_record set source = 'dispatch_payment'")

    said = hybrid_sync("history", "payments:17")

    assert (said.status, said.err) == (0, "")
    assert [line.split()[2:5] for line in said.out.splitlines() if "r1" in line] == [
        ["failed", "missing_parent", "r1"]
    ] * 2
    told = json.loads(hybrid_sync("history", "payments:17", "--json", "--limit", "1").out)
    assert (told["key"], len(told["events"]), told["more"]) == ([17], 1, True)


def test_a_row_that_nobody_knows_and_one_that_is_none(store: Store, hybrid_sync: Command) -> None:
    assert hybrid_sync("history", "payments:18").out == "Nothing is known of payments:18.\n"
    assert "names no legacy row" in hybrid_sync("history", "payments").err
    assert "no entity nonsense" in hybrid_sync("history", "nonsense:1").err

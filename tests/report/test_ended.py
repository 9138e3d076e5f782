"""What runs came to is asked of many at once, for the cost of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from hybrid_sync.runs.ended import STATUS, VERIFIED_WEEKLY
from tests.report.records import add_run

Store = psycopg.Connection[Any]
ASKED = {
    "a list": sql.SQL("select {} from hybrid_sync.run r").format(STATUS),
    "the last weekly one": sql.SQL("select {}").format(VERIFIED_WEEKLY),
}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


@pytest.mark.parametrize("asked", ASKED)
def test_no_run_is_looked_for_again_for_each_run(store: Store, asked: str) -> None:
    """Runs are kept for ever."""
    for n in range(30):
        add_run(store, f"r{n}")
    found = store.execute(sql.SQL("explain (analyze, format json) {}").format(ASKED[asked])).fetchone()
    assert found is not None
    assert [node["Actual Loops"] for node in nodes(found[0][0]["Plan"]) if node.get("Alias") == "u"] == [1]


def test_a_run_that_is_being_undone_is_rolled_back_and_those_beside_it_are_not(store: Store) -> None:
    for name in ("undone", "half", "whole"):
        add_run(store, name)
    for name, of, status in (("rollback-1", "undone", "running"), ("rollback-2", "half", "failed")):
        add_run(store, name, status)
        store.execute("update hybrid_sync.run set undoes = %s where run_id = %s", (of, name))
    store.execute("update hybrid_sync.run set undone_by = 'rollback-2' where run_id = 'whole'")
    query = sql.SQL("select r.run_id, {} from hybrid_sync.run r where undoes is null").format(STATUS)
    assert dict(store.execute(query).fetchall()) == {
        "undone": "rolled_back", "half": "succeeded", "whole": "rolled_back"
    }  # fmt: skip

"""What runs came to is asked of many at once, for the cost of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from hybrid_sync.runs.ended import STATUS, UNDONE_BY, VERIFIED_WEEKLY
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


def test_whose_undoing_it_was_is_known_and_nothing_where_the_target_is_older_than_undoing(store: Store) -> None:
    for name in ("done", "rollback-1", "doing"):
        add_run(store, name)
    add_run(store, "rollback-2", "running")
    store.execute("update hybrid_sync.run set undone_by = 'rollback-1' where run_id = 'done'")
    store.execute("update hybrid_sync.run set undoes = 'doing' where run_id = 'rollback-2'")
    query = sql.SQL("select r.run_id, {}, {} = 'rolled_back' from hybrid_sync.run r order by r.run_id").format(
        UNDONE_BY, STATUS
    )
    assert store.execute(query).fetchall() == [
        ("doing", "rollback-2", True), ("done", "rollback-1", True), ("rollback-1", None, False),
        ("rollback-2", None, False),
    ]  # fmt: skip
    store.execute("alter table hybrid_sync.run drop column undone_by cascade, drop column undoes cascade")
    assert [row[1:] for row in store.execute(query).fetchall()] == [(None, False)] * 4


def test_no_report_is_read_for_it(store: Store) -> None:
    """What is too large for a row lies beside its table, and whoever wants it reads those pages."""
    add_run(store, "large")
    report = "select jsonb_object_agg(g, md5(g::text)) from generate_series(1, 9000) g"
    store.execute(f"update hybrid_sync.run set report = ({report})".encode())
    explain = sql.SQL("explain (analyze, buffers, format json) {}").format(ASKED["a list"])
    store.execute(explain)
    found = store.execute(explain).fetchone()
    assert found is not None
    assert found[0][0]["Plan"]["Shared Hit Blocks"] < 20

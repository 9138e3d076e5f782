"""`verify --of`: what a check has found, by entity, key and column."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Command
from tests.report.records import add_failed, add_run

Store = psycopg.Connection[Any]
FOUND = {"rows_checked": 100, "in_flight": 2, "differing": 3, "healed": 1, "persisted": 0, "drift": 2, "silent": 1,
         "fence_missed": 0, "gone": 4, "wrong_ids": 0, "done": True}  # fmt: skip


@pytest.fixture
def checked(store: Store) -> Store:
    add_run(store, "weekly-1")
    store.execute(
        "insert into hybrid_sync.run_entity (run_id, entity, wave, status, reconcile)"
        " values ('weekly-1', 'payments', 0, 'verified', %s)",
        (json.dumps(FOUND),),
    )
    store.execute(
        "insert into hybrid_sync.difference (run_id, entity, source, key, segment, state, kind, columns, origin) values"
        " ('weekly-1', 'payments', 'payment', '{7}', 0, 'confirmed', 'changed', '{total,fee}', 'target'),"
        " ('weekly-1', 'payments', 'payment', '{8}', 0, 'healed', 'changed', '{fee}', 'legacy')"
    )
    return store


def test_what_differs_still_is_named_by_key_and_column(checked: Store, hybrid_sync: Command) -> None:
    said = hybrid_sync("verify", "--of", "weekly-1")
    assert said.status == 1
    assert "payments payment:7  total, fee  changed by target" in said.out
    assert "payment:8" not in said.out
    assert "hybrid-sync verify --repair" in said.out


def test_nothing_left_is_success(checked: Store, hybrid_sync: Command) -> None:
    checked.execute("update hybrid_sync.difference set state = 'healed'")
    said = hybrid_sync("verify", "--of", "weekly-1")
    assert (said.status, said.out.rstrip().splitlines()[-1]) == (0, "Nothing differs.")


def test_failed_rows_are_listed_and_not_passed_over(checked: Store, hybrid_sync: Command) -> None:
    checked.execute("update hybrid_sync.difference set state = 'healed'")
    checked.execute("update hybrid_sync.run set status = 'degraded'")
    for key in (17, 18):
        add_failed(checked, key, "check_violation", present=key == 17)
    said = hybrid_sync("verify", "--of", "weekly-1")
    assert said.status == 3
    assert "payments payment:17  check_violation  stale in the target" in said.out
    assert "payments payment:18  check_violation  absent from the target" in said.out
    assert said.out.rstrip().splitlines()[-1] == "Nothing else differs."
    run = json.loads(hybrid_sync("verify", "--of", "weekly-1", "--json").out)
    assert ([f["key"] for f in run["failed"]], run["status"]) == ([[17], [18]], "degraded")


def test_a_check_of_a_part_says_so(checked: Store, hybrid_sync: Command) -> None:
    assert "in part: 1 of 23 components" in hybrid_sync("verify", "--of", "weekly-1").out


def test_the_same_as_json(checked: Store, hybrid_sync: Command) -> None:
    run = json.loads(hybrid_sync("verify", "--of", "weekly-1", "--json").out)
    assert [(e["entity"], e["rows"], e["healed"]) for e in run["entities"]] == [("payments", 100, 1)]
    assert [(d["key"], d["columns"], d["origin"]) for d in run["differences"]] == [([7], ["total", "fee"], "target")]


def test_a_run_that_is_not_there_is_one_sentence(checked: Store, hybrid_sync: Command) -> None:
    said = hybrid_sync("verify", "--of", "weekly-9")
    assert (said.status, said.err) == (
        1,
        "hybrid-sync: There is no run weekly-9. List the recent ones with: hybrid-sync status, or GET /v1/syncs.\n",
    )


def test_showing_and_checking_are_two_things(checked: Store, hybrid_sync: Command) -> None:
    assert "leave out the entities and --repair" in hybrid_sync("verify", "payments", "--of", "weekly-1").err

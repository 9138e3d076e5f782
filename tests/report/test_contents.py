"""What the reconcile and the deletes found is told by numbers, keys and names of columns."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from hybrid_sync.recorded.checks import Deletes, Reconcile
from hybrid_sync.report.render import to_html, to_markdown
from hybrid_sync.report.summary import summarise
from tests.report.records import CATALOG, EQUATION, add_entity, add_run
from tests.report.summaries import entity, run

RECONCILE = {
    "done": True, "target_xmin": "811", "segments": 3, "rows_checked": 17_000, "suspected": 9, "differing": 4,
    "healed": 2, "persisted": 0, "drift": 2, "both_changed": 0, "left_alone": 2, "fence_missed": 1, "silent": 1,
    "gone": 0, "wrong_ids": 0, "compare_seconds": "0.412", "shown": [
        {"source": "payment", "key": [7], "kind": "changed", "columns": ["total"], "origin": "legacy",
         "state": "healed"},
        {"source": "payment", "key": [8, 2], "kind": "missing", "columns": [], "origin": "target",
         "state": "confirmed"},
    ],
}  # fmt: skip
DELETES = {
    "done": True, "guarded": 0, "candidates": 9, "deleted": 3, "soft": 2, "back": 1, "undeleted": 1,
    "refused": {"native_children": 2, "ignored": 1},
}  # fmt: skip


def test_both_are_read_from_the_run_as_their_steps_wrote_them(store: psycopg.Connection[Any]) -> None:
    add_run(store, "r1")
    add_entity(store, "r1", "payments", conservation=EQUATION)
    told = (Jsonb(RECONCILE), Jsonb(DELETES))
    store.execute("update hybrid_sync.run_entity set reconcile = %s, deletes = %s", told)

    [payments] = summarise(store, "r1", CATALOG).entities

    assert payments.reconcile is not None
    assert payments.deletes is not None
    assert (payments.reconcile.rows_checked, payments.reconcile.drift) == (17_000, 2)
    assert (payments.deletes.kept, payments.deletes.deleted) == (3, 3)


def test_what_differed_is_named_by_key_and_column() -> None:
    told = run(entities=(entity(reconcile=Reconcile.model_validate(RECONCILE)),))
    text = to_markdown(told)
    assert "17,000 rows of 1 component were compared in all mapped columns, on both servers." in text
    assert "4 rows differed: 2 were healed, 0 still differ. 2 rows had been changed in the target" in text
    assert "| `payments/payment:7` | other contents | total | legacy | healed |" in text
    assert "| `payments/payment:8,2` | not in the target |  | target | left as it is |" in text
    assert "payments/payment:8,2" in to_html(told)


def test_equal_contents_need_no_table() -> None:
    text = to_markdown(run(entities=(entity(reconcile=Reconcile(done=True, rows_checked=5)),)))
    assert "5 rows of 1 component were compared in all mapped columns, on both servers. None differed." in text
    assert "Still differ" not in text


def test_a_difference_from_legacy_that_is_left_does_not_add_up() -> None:
    left = Reconcile(done=True, rows_checked=5, differing=1, persisted=1)
    told = run(entities=(entity(reconcile=left),))
    assert not told.conserved
    assert "**Does not add up.**" in to_markdown(told)


def test_a_comparison_that_did_not_end_says_so() -> None:
    assert "The comparison of 1 component did not end." in to_markdown(run(entities=(entity(reconcile=Reconcile()),)))


def test_deletes_are_told_by_what_became_of_the_rows_and_why_some_were_kept() -> None:
    text = to_markdown(run(entities=(entity(deletes=Deletes.model_validate(DELETES)),)))
    line = text.split("## Deleted in legacy")[1].split("| Payments |")[1].splitlines()[0]
    cells = [cell.strip() for cell in line.split("|")]
    assert cells[:7] == ["9", "3", "2", "1", "1", "3", "0"]
    assert cells[7] == "by policy<br>rows born in the target refer to them"


def test_without_a_deleted_row_there_is_no_section_of_deletes() -> None:
    assert "Deleted in legacy" not in to_markdown(run(entities=(entity(deletes=Deletes(done=True)),)))

"""A report says of a run what its records say, on a real PostgreSQL."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from hybrid_sync.contracts import BatchResult
from hybrid_sync.errors import RunNotFound
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.render import to_json
from hybrid_sync.report.summary import recall, summarise
from tests.report.records import CATALOG, EQUATION, add_batch, add_entity, add_failed, add_run, money_line

Store = psycopg.Connection[Any]


def weekly(store: Store) -> RunSummary:
    """One run: payments in two batches with three failed records, offices without a change."""
    add_run(store, "r1")
    money = [
        money_line("total", "USD", "0.10"),
        money_line("total", "USD", "123456789012345678901234567890.20"),
        money_line("total", "JPY", "1200"),
        money_line("fee", "USD", "9.99"),
    ]
    add_entity(store, "r1", "payments", wave=1, planned=2, conservation=EQUATION, money=money)
    add_entity(
        store,
        "r1",
        "offices",
        conservation={**EQUATION, "legacy": 10, "current": 0, "stale": 0, "absent": 0, "pending_deletes": 0},
    )
    add_batch(store, "r1", "payments", 0, BatchResult(read=60, inserted=50, failed=2), "2026-01-04 01:00:03Z")
    add_batch(store, "r1", "payments", 500, BatchResult(read=40, updated=5, unchanged=30), "2026-01-04 01:00:06Z")
    add_failed(store, 7, "missing_parent")
    add_failed(store, 8, "missing_parent", status="escalated", present=True)
    add_failed(store, 9, "price_below_zero", first_run="r0")
    add_failed(store, 10, "bad_json", status="resolved")
    return summarise(store, "r1", CATALOG)


def test_counts_are_the_sums_of_the_batches(store: Store) -> None:
    payments = weekly(store).entities[1]

    assert payments.entity == "payments"
    assert payments.title == "Payments"
    assert payments.counts.model_dump() == {
        "read": 100, "retried": 0, "inserted": 50, "updated": 5, "unchanged": 30, "failed": 2, "excluded": 0,
        "resolved": 0,
    }  # fmt: skip
    assert (payments.batches_done, payments.batches_planned) == (2, 2)
    assert (payments.links_made, payments.links_pending) == (4, 1)


def test_speed_is_measured_from_the_plan_to_the_last_batch(store: Store) -> None:
    offices, payments = weekly(store).entities

    assert payments.seconds == 5.0
    assert payments.rows_per_second == 20.0
    assert offices.seconds is None
    assert offices.rows_per_second is None


def test_entities_stand_in_write_order(store: Store) -> None:
    assert [e.entity for e in weekly(store).entities] == ["offices", "payments"]


def test_excluded_rows_do_not_count_against_success_and_all_of_nothing_is_none(store: Store) -> None:
    offices, payments = weekly(store).entities

    assert payments.success_rate == 87 / 90
    assert offices.success_rate is None


def test_money_is_added_exactly_and_per_currency(store: Store) -> None:
    payments = weekly(store).entities[1]

    assert payments.impact == {
        "JPY": Decimal(1200),
        "USD": Decimal("123456789012345678901234567890.30"),
    }


def test_missed_records_are_grouped_by_cause_with_what_to_do(store: Store) -> None:
    summary = weekly(store)

    assert [(c.reason, c.records) for c in summary.missed] == [("missing_parent", 2), ("price_below_zero", 1)]
    parents, rule = summary.missed
    assert (parents.absent, parents.new, parents.escalated) == (1, 2, 1)
    assert parents.keys == ("payment:7", "payment:8")
    assert parents.share == 0.02
    assert "`price_below_zero`" in rule.meaning
    assert rule.new == 0
    assert summary.missed_records == 3


def test_a_report_of_some_entities_leaves_out_the_failed_records_of_others(store: Store) -> None:
    add_run(store, "r1")
    add_entity(store, "r1", "offices")
    add_failed(store, 7, "missing_parent", entity="payments")

    assert summarise(store, "r1", CATALOG).missed == ()


def test_unequal_money_breaks_conservation_although_the_rows_add_up(store: Store) -> None:
    add_run(store, "r1")
    money = [money_line("total", "USD", "1.00", target="1.01")]
    add_entity(store, "r1", "payments", conservation=EQUATION, money=money)

    summary = summarise(store, "r1", CATALOG)

    assert summary.entities[0].conserved is False
    assert summary.conserved is False


def test_a_run_with_an_entity_that_was_never_verified_is_not_conserved(store: Store) -> None:
    add_run(store, "r1", "failed")
    add_entity(store, "r1", "payments", conservation=EQUATION)
    failure = {"code": "structure_mismatch", "text": "The target has no table offices."}
    add_entity(store, "r1", "offices", status="failed", planned=None, failure=failure)

    summary = summarise(store, "r1", CATALOG)

    assert summary.conserved is False
    assert summary.entities[0].failure is not None
    assert summary.entities[0].failure.code == "structure_mismatch"


def test_a_run_without_any_entity_is_not_conserved(store: Store) -> None:
    add_run(store, "r1", "failed")

    assert summarise(store, "r1", CATALOG).conserved is False


def test_the_largest_worker_of_each_function_counts(store: Store) -> None:
    add_run(store, "r1")
    store.execute(
        """insert into hybrid_sync.run_worker (run_id, function, worker, peak_rss_kib, memory_mib)
           values ('r1', 'sync_batch', 'a', 102400, 512), ('r1', 'sync_batch', 'b', 204800, 512)"""
    )

    (worker,) = summarise(store, "r1", CATALOG).workers

    assert (worker.workers, worker.peak_rss_mib, worker.memory_mib) == (2, 200.0, 512)


def test_an_unknown_run_is_named_with_a_remedy(store: Store) -> None:
    with pytest.raises(RunNotFound, match=r"There is no run nonsense\. .*hybrid-sync status"):
        summarise(store, "nonsense", CATALOG)


def test_an_entity_that_left_the_catalog_is_still_reported(store: Store) -> None:
    add_run(store, "r1")
    add_entity(store, "r1", "gone", conservation=EQUATION)

    assert summarise(store, "r1", CATALOG).entities[0].title == "gone"


def test_a_recalled_report_says_what_was_true_when_the_run_ended(store: Store) -> None:
    made = weekly(store)
    store.execute("update hybrid_sync.run set report = %s", (Jsonb(made.model_dump(mode="json")),))
    store.execute("update hybrid_sync.failed_record set status = 'resolved'")

    assert recall(store, "r1", CATALOG) == made
    assert summarise(store, "r1", CATALOG).missed == ()


def test_a_report_of_an_older_shape_is_made_anew(store: Store) -> None:
    made = weekly(store)
    store.execute("update hybrid_sync.run set report = %s", (Jsonb({"shape": "of long ago"}),))

    assert recall(store, "r1", CATALOG) == made


def test_json_is_read_back_without_loss_and_is_the_same_every_time(store: Store) -> None:
    summary = weekly(store)

    assert RunSummary.model_validate_json(to_json(summary)) == summary
    assert to_json(summary) == to_json(summarise(store, "r1", CATALOG))
    assert '"123456789012345678901234567890.20"' in to_json(summary)

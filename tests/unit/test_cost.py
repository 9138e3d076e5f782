"""What a month costs follows from the price table and the flow, item by item."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from hybrid_sync.contracts import (
    EntityTask,
    EntityVerdict,
    PlannedEntity,
    PlannedRun,
    Profile,
    ReconciledEntity,
    RunFailure,
    RunOutcome,
    StartedRun,
    SyncedKeys,
)
from hybrid_sync.cost.bill import Usage, bill, dollars, together
from hybrid_sync.cost.prices import AS_OF, BUDGET, PRICES, Item
from hybrid_sync.cost.what_if import Plan, month
from hybrid_sync.measures import MEASURES
from hybrid_sync.transitions import led_to

TASK = EntityTask(run_id="weekly-1", entity="orders")


def whole(plan: Plan) -> Usage:
    return together(month(plan).values())


def test_at_the_sizes_of_the_project_a_month_costs_less_than_fifteen_dollars() -> None:
    assert Plan() == Plan(rows=3_500_000, changes=30_000, syncs=200, schedule="weekly")
    assert dollars(whole(Plan())) < 15


def test_ten_times_the_rows_with_a_run_every_hour_stays_within_the_budget() -> None:
    assert dollars(whole(Plan(rows=35_000_000, changes=300_000, syncs=2_000, schedule="hourly"))) < BUDGET


def test_every_item_has_a_price_with_its_page_and_every_line_is_quantity_times_price() -> None:
    assert set(PRICES) == set(Item)
    assert all(price.page for price in PRICES.values())
    unconfirmed = {item for item, price in PRICES.items() if price.note == "not confirmed"}
    assert unconfirmed == {Item.table_backup_gb, Item.log_kept_gb, Item.alarms}
    lines = bill(whole(Plan()))
    assert [line.item for line in lines if line.dollars != PRICES[line.item].of(line.quantity)] == []
    assert sum(line.dollars for line in lines) == dollars(whole(Plan()))


def test_a_bill_is_exact_where_the_quantities_are() -> None:
    used = {Item.transitions: 4_000, Item.secrets: 3, Item.write_units: 1_000_000}
    assert dollars(used) == Decimal("0.1") + Decimal("1.2") + Decimal("0.625")


@pytest.mark.parametrize("more", [{"rows": 7_000_000}, {"changes": 60_000}, {"syncs": 400}, {"schedule": "daily"}])
def test_more_of_anything_costs_more(more: dict[str, object]) -> None:
    larger: Plan = Plan(**more)  # type: ignore[arg-type] # what a person would type
    assert dollars(whole(larger)) > dollars(whole(Plan()))


def test_the_page_of_docs_has_each_price_as_the_table_has_it() -> None:
    page = Path("docs/cost.md").read_text("utf-8")
    form = r"^\| ([^|]+) \| ([\d.]+) \| ([\d,]+) \| ([^|]+) \| (?:–|\[[^]]+\]\(([^)]+)\)) \| ([^|]+) \|$"
    rows = {row[0]: row[1:] for row in re.findall(form, page, re.M)}
    assert rows == {
        item.value: (f"{price.dollars:f}", f"{price.per:,}", price.page, price.source, price.note)
        for item, price in PRICES.items()
    }
    assert f"{AS_OF}" in page


def test_the_page_of_docs_has_each_metric_as_the_table_has_it() -> None:
    page = Path("docs/metrics.md").read_text("utf-8")
    for measure in MEASURES:
        row = f"| `{measure.name}` | `{measure.family}` | {measure.unit} | {measure.source} | {measure.says} |\n"
        assert row in page
    assert page.count("| `hybrid_sync_") == len(MEASURES)


def test_the_states_between_the_functions_follow_from_what_they_answer() -> None:
    outcome = RunOutcome(run_id="r", status="succeeded", report="", summary={})
    plan = PlannedRun(run_id="r", profile=Profile.weekly, waves=((TASK,), (TASK, TASK)), entities=(TASK,) * 3)
    given = StartedRun.model_validate({"run_id": "r", "request": {}})
    cut = ReconciledEntity(run_id="r", entity="orders", segments=4)
    confirmed = ReconciledEntity(run_id="r", entity="orders", batches=2)
    more = EntityVerdict(run_id="r", entity="orders", more=True)
    failure = RunFailure(run_id="r", entity="orders", state="HealBatch")
    assert led_to("sync_keys", given, SyncedKeys(run_id="r", whole=False, outcome=outcome)) == 5
    # ChooseWay, Waves, 2 x Entities, 3 x EntityDone, Reconciles, ReconcileEntities, 3 x ReconcileDone, VerifyEntities,
    # 3 x VerifyDone, DescribeEnd
    assert led_to("plan_run", given, plan) == 1 + 1 + 2 + 3 + 1 + 1 + 3 + 1 + 3 + 1
    end = TASK.model_copy(update={"portion": "end"})
    beside = plan.model_copy(update={"waves": ((TASK,), (end, TASK, TASK))})
    assert led_to("plan_run", given, beside) == led_to("plan_run", given, plan) + 1  # EntityDone
    ended = PlannedEntity(**dict(end), batches=0, bucket="", manifest="")
    assert led_to("plan_entity", end, ended) == 2  # AnyBatches, AnyMore behind SettleUniques
    planned = PlannedEntity(**dict(TASK), batches=2, bucket="", manifest="")
    assert led_to("plan_entity", TASK, planned) == 4  # AnyBatches, Batches, AnythingToSettle, AnyMore
    assert led_to("plan_entity", TASK, planned.model_copy(update={"settles": False})) == 3
    assert led_to("plan_entity", TASK, planned.model_copy(update={"batches": 0})) == 1
    assert led_to("reconcile_entity", TASK, cut) == 2
    assert led_to("confirm_differences", TASK, confirmed) == 2
    assert led_to("reconcile_entity", TASK, confirmed) == 3
    assert led_to("verify_entity", TASK, more) == 1
    assert led_to("record_failure", failure, None) == 1
    assert led_to("record_failure", failure.model_copy(update={"state": "PlanEntity"}), None) == 1  # AnyMore
    assert led_to("record_failure", failure.model_copy(update={"state": "SettleUniques"}), None) == 0

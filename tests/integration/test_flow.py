"""The state machine itself, run by the emulator and by the interpreter of the other tests, which must do the same.

Order, retries, and failures that cost only what they must.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.aws import Aws, ensure_environments
from hybrid_sync_cli.stack.processes import Processes
from tests.integration.emulator import Scenario, Stage, client_for

STATE_BYTES = 256 * 1024
WAVES = [["offices", "products"], ["orders"], ["payments"]]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    ensure_environments(home.project_root())
    running = Aws(Processes(tmp_path_factory.mktemp("aws")))
    running.start(home.project_root() / ".venv-stack" / "bin" / "python", None)
    yield Stage(client_for(running.endpoint), tmp_path_factory.mktemp("stage"))
    running.stop()


def test_a_run_goes_through_its_states_in_order(stage: Stage) -> None:
    ended = stage.play(Scenario("in-order", WAVES, batches={"orders": 3, "products": 0}))
    assert ended.status == "SUCCEEDED"
    assert ended.states == [
        "ChooseWay", "PlanRun", "Waves", "LinkReferences", "AnyLinksLeft", "Reconciles", "ReconcileEntities",
        "PropagateDeletes", "AnyDeletesLeft", "SettleFreed", "VerifyEntities", "DescribeEnd", "ReportRun",
        "KeptItsPromises", "RunSucceeded",
    ]  # fmt: skip
    assert ended.asked("plan_run") == [{"run_id": "in-order", "request": {"profile": "weekly", "trigger": "schedule"}}]
    assert len(ended.asked("plan_entity")) == len(ended.asked("verify_entity")) == 4
    assert [len(ended.asked("sync_batch", entity=e)) for e in ("offices", "products", "orders", "payments")] == [
        1,
        0,
        3,
        1,
    ]
    assert ended.first("sync_batch", entity="offices") < ended.first("plan_entity", entity="orders")
    assert ended.first("sync_batch", entity="orders") < ended.first("plan_entity", entity="payments")
    assert ended.last("sync_batch") < ended.first("link_references") < ended.first("reconcile_entity")
    assert ended.last("reconcile_entity") < ended.first("verify_entity")
    assert ended.last("verify_entity") < ended.first("report_run")
    assert ended.asked("report_run") == [{"run_id": "in-order", "failure": None}]
    assert ended.asked("record_failure") == []


def in_strands(run_id: str, **more: Any) -> Scenario:
    """A wave of two strands, then one that waits for both."""
    after = {"offices": "orders", "orders": "payments"}
    waves = [["offices", "products"], ["orders"], ["payments"], ["refunds"]]
    return Scenario(run_id, waves, after=after, **more)


def test_a_strand_goes_on_while_the_others_are_at_work(stage: Stage) -> None:
    ended = stage.play(in_strands("strands", batches={"orders": 0, "products": 2}))
    assert ended.status == "SUCCEEDED"
    assert [b["entity"] for b in ended.asked("plan_entity") if b["entity"] != "products"] == [
        "offices", "orders", "payments", "refunds",
    ]  # fmt: skip
    assert ended.last("settle_uniques", entity="offices") < ended.first("plan_entity", entity="orders")
    for last in ("payments", "products"):
        assert ended.last("settle_uniques", entity=last) < ended.first("plan_entity", entity="refunds")
    assert len(ended.asked("verify_entity")) == 5


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("function", ["plan_entity", "sync_batch", "settle_uniques"])
def test_a_strand_goes_on_behind_an_entity_that_fails(stage: Stage, function: str, recorded: bool) -> None:
    scenario = in_strands(f"strand-{function}-{recorded}", status="failed")
    scenario.fail(function, "permanent", "structure_mismatch: no such column", entity="offices")
    if not recorded:
        scenario.fail("record_failure", "permanent", "target_unavailable: away")
    ended = stage.play(scenario)
    assert [r["entity"] for r in ended.asked("record_failure")] == ["offices"]
    for entity in ("orders", "payments", "refunds"):
        assert len(ended.asked("sync_batch", entity=entity)) == 1
    assert len(ended.asked("verify_entity")) == 5


def test_nothing_settles_where_only_ids_are_unique(stage: Stage) -> None:
    ended = stage.play(in_strands("ids-alone", only_ids_unique=frozenset({"offices", "payments"})))
    assert ended.status == "SUCCEEDED"
    assert sorted(settled(ended)) == [("orders", "whole"), ("products", "whole"), ("refunds", "whole")]
    assert ended.last("sync_batch", entity="offices") < ended.first("plan_entity", entity="orders")
    assert len(ended.asked("verify_entity")) == 5


def with_an_end_apart(run_id: str, **more: Any) -> Scenario:
    """The first load of the products ends while the refunds are carried."""
    return in_strands(run_id, ends={"products": 1}, **more)


def settled(ended: Any) -> list[tuple[str, str]]:
    return [(asked["entity"], asked["portion"]) for asked in ended.asked("settle_uniques") if "entity" in asked]


def test_a_first_load_ends_beside_the_next_wave(stage: Stage) -> None:
    ended = stage.play(with_an_end_apart("ends", batches={"products": 2}))
    assert ended.status == "SUCCEEDED"
    whole = [(entity, "whole") for entity in ("offices", "orders", "payments", "refunds")]
    assert sorted(settled(ended)) == sorted([*whole, ("products", "rows"), ("products", "end")])
    assert settled(ended).index(("payments", "whole")) < settled(ended).index(("products", "end"))
    assert ended.last("settle_uniques", entity="products") < ended.first("link_references")
    assert len(ended.asked("sync_batch", entity="products")) == 2
    assert len(ended.asked("verify_entity")) == 5


def test_a_first_load_that_does_not_end_costs_nobody_else(stage: Stage) -> None:
    scenario = with_an_end_apart("ends-badly", status="failed")
    scenario.fail("settle_uniques", "permanent", "index_unmade: two rows have one id", entity="products", portion="end")
    ended = stage.play(scenario)
    [recorded] = ended.asked("record_failure")
    assert (recorded["entity"], recorded["state"]) == ("products", "SettleUniques")
    assert len(ended.asked("sync_batch", entity="refunds")) == 1
    assert len(ended.asked("verify_entity")) == 5


def test_a_manifest_that_is_gone_does_not_stop_its_strand(stage: Stage) -> None:
    ended = stage.play(in_strands("strand-lost", status="failed", lost_manifests=frozenset({"offices"})))
    [recorded] = ended.asked("record_failure")
    assert (recorded["entity"], recorded["state"]) == ("offices", "Batches")
    assert len(ended.asked("sync_batch", entity="payments")) == 1


def few(run_id: str, **more: Any) -> Scenario:
    return Scenario(run_id, [["orders"]], profile="on_demand", refs=[{"entity": "orders", "legacy_id": 7}], **more)


def test_a_few_keys_are_one_function_whose_outcome_is_the_runs(stage: Stage) -> None:
    scenario = few("few")
    ended = stage.play(scenario)
    assert ended.states == ["ChooseWay", "SyncKeys", "KeysSynced", "TakeOutcome", "KeptItsPromises", "RunSucceeded"]
    assert ended.calls == [("sync_keys", {"run_id": "few", "request": scenario.given})]
    assert json.loads(ended.execution["output"])["status"] == "succeeded"


def test_keys_that_are_not_few_go_the_whole_way_with_their_request(stage: Stage) -> None:
    scenario = few("many", few=False)
    ended = stage.play(scenario)
    assert ended.states[:5] == ["ChooseWay", "SyncKeys", "KeysSynced", "TakeWholeWay", "PlanRun"]
    assert ended.asked("plan_run") == [{"run_id": "many", "request": scenario.given}]
    assert (ended.status, len(ended.asked("report_run"))) == ("SUCCEEDED", 1)


def test_a_few_keys_whose_function_fails_for_good_are_reported_with_its_failure(stage: Stage) -> None:
    ended = stage.play(few("few-fails", status="failed").fail("sync_keys", "permanent", "unexpected: KeyError"))
    assert len(ended.asked("sync_keys")) == 1
    [report] = ended.asked("report_run")
    assert report["failure"]["error"] == "PermanentError"
    assert ended.asked("plan_run") == []
    assert (ended.status, ended.execution["error"]) == ("FAILED", "RunFailed")
    assert len(ended.asked("rollback_run")) == 1


def test_a_few_keys_whose_function_dies_are_asked_for_again(stage: Stage) -> None:
    ended = stage.play(few("few-dies").fail("sync_keys", "dies", "", times=2))
    assert (ended.status, len(ended.asked("sync_keys"))) == ("SUCCEEDED", 3)


def test_a_few_keys_of_a_failed_run_are_settled_by_policy(stage: Stage) -> None:
    ended = stage.play(few("few-failed", status="failed"))
    assert ended.asked("rollback_run") == [{"run_id": "few-failed", "by_policy": True}]


def test_a_batch_gets_its_line_of_the_manifest(stage: Stage) -> None:
    scenario = Scenario("manifest", [["orders"]], batches={"orders": 5})
    ended = stage.play(scenario)
    assert sorted(ended.asked("sync_batch"), key=lambda b: b["lo"]) == scenario.manifest("orders")


def test_what_time_heals_is_tried_three_times(stage: Stage) -> None:
    scenario = Scenario("heals", WAVES).fail("sync_batch", "transient", "contention: busy", times=2, entity="orders")
    scenario.fail("plan_run", "transient", "legacy_unavailable: away", times=1)
    ended = stage.play(scenario)
    assert ended.status == "SUCCEEDED"
    assert len(ended.asked("sync_batch", entity="orders")) == 3
    assert len(ended.asked("plan_run")) == 2
    assert ended.asked("record_failure") == []


def test_a_worker_that_dies_is_replaced_and_asked_again(stage: Stage) -> None:
    ended = stage.play(Scenario("dies", WAVES).fail("sync_batch", "dies", "", times=1, entity="orders"))
    assert ended.status == "SUCCEEDED"
    assert len(ended.asked("sync_batch", entity="orders")) == 2
    assert ended.asked("record_failure") == []


def test_what_a_person_must_heal_is_tried_once_and_recorded(stage: Stage) -> None:
    scenario = Scenario("permanent", WAVES, batches={"orders": 3}, status="failed")
    scenario.fail("sync_batch", "permanent", "structure_mismatch: no such column", entity="orders", lo=1)
    ended = stage.play(scenario)
    assert len(ended.asked("sync_batch", entity="orders", lo=1)) == 1
    [recorded] = ended.asked("record_failure")
    assert (recorded["run_id"], recorded["entity"], recorded["state"], recorded["error"]) == (
        "permanent",
        "orders",
        "SyncBatch main 1..2",
        "PermanentError",
    )
    assert "no such column" in recorded["cause"]


def test_a_bad_batch_costs_that_batch_and_not_the_run(stage: Stage) -> None:
    scenario = Scenario("bad-batch", WAVES, batches={"orders": 3}, status="failed")
    scenario.fail("sync_batch", "transient", "contention: always", entity="orders", lo=1)
    ended = stage.play(scenario)
    assert len(ended.asked("sync_batch", entity="orders", lo=1)) == 3
    assert len(ended.asked("sync_batch", entity="orders", lo=2)) == 1
    assert len(ended.asked("sync_batch", entity="payments")) == 1
    assert len(ended.asked("verify_entity")) == 4
    assert (ended.status, ended.execution["error"]) == ("FAILED", "RunFailed")


@pytest.mark.parametrize(("function", "state"), [("plan_entity", "PlanEntity"), ("verify_entity", "VerifyEntity")])
def test_a_bad_entity_costs_that_entity_and_not_the_run(stage: Stage, function: str, state: str) -> None:
    scenario = Scenario(f"bad-{function}", WAVES, status="failed")
    scenario.fail(function, "permanent", "entity_held: held", entity="offices")
    ended = stage.play(scenario)
    [recorded] = ended.asked("record_failure")
    assert (recorded["entity"], recorded["state"]) == ("offices", state)
    assert len(ended.asked("sync_batch", entity="payments")) == 1
    assert len(ended.asked("verify_entity")) == 4
    assert len(ended.asked("report_run")) == 1


def test_a_manifest_that_is_gone_costs_its_entity(stage: Stage) -> None:
    ended = stage.play(Scenario("lost", WAVES, status="failed", lost_manifests=frozenset({"orders"})))
    [recorded] = ended.asked("record_failure")
    assert (recorded["entity"], recorded["state"]) == ("orders", "Batches")
    assert len(ended.asked("sync_batch", entity="payments")) == 1


def test_a_failure_that_cannot_be_recorded_stops_nothing(stage: Stage) -> None:
    scenario = Scenario("unrecorded", WAVES, status="failed")
    scenario.fail("sync_batch", "permanent", "unexpected: KeyError", entity="orders")
    scenario.fail("record_failure", "permanent", "target_unavailable: away")
    ended = stage.play(scenario)
    assert len(ended.asked("sync_batch", entity="payments")) == 1
    assert len(ended.asked("report_run")) == 1


@pytest.mark.parametrize("function", ["plan_run", "link_references", "propagate_deletes"])
def test_a_run_that_breaks_off_is_reported_with_its_failure(stage: Stage, function: str) -> None:
    scenario = Scenario(f"breaks-{function}", WAVES, status="failed")
    scenario.fail(function, "permanent", "catalog_invalid: orders.yaml:3: correct it")
    ended = stage.play(scenario)
    [report] = ended.asked("report_run")
    assert report["run_id"] == report["failure"]["run_id"] == scenario.run_id
    assert report["failure"]["error"] == "PermanentError"
    assert "orders.yaml:3" in report["failure"]["cause"]
    assert ended.asked("verify_entity") == []
    assert ended.status == "FAILED"


def test_a_run_that_never_began_ends_with_its_own_sentence(stage: Stage) -> None:
    summary = {"code": "legacy_unavailable", "text": "Legacy does not let us in."}
    scenario = Scenario("never", WAVES, status="failed", summary=summary)
    scenario.fail("plan_run", "permanent", "legacy_unavailable: Legacy does not let us in.")
    ended = stage.play(scenario)
    assert (ended.execution["error"], ended.execution["cause"]) == (summary["code"], summary["text"])


def test_a_report_that_fails_is_told_apart(stage: Stage) -> None:
    ended = stage.play(Scenario("unreported", WAVES).fail("report_run", "permanent", "unexpected: OSError"))
    assert (ended.status, ended.execution["error"]) == ("FAILED", "RunUnreported")
    assert ended.asked("rollback_run") == [{"run_id": "unreported", "by_policy": True}], "its request may want that"


def test_a_run_whose_report_fails_is_settled_until_nothing_is_left(stage: Stage) -> None:
    scenario = Scenario("undone", WAVES, settle_calls=3).fail("report_run", "permanent", "unexpected: OSError")
    ended = stage.play(scenario)
    assert len(ended.asked("rollback_run")) == 3
    assert (ended.status, ended.execution["error"]) == ("FAILED", "RunUnreported")


def test_a_failed_run_is_settled_after_its_report_until_nothing_is_left(stage: Stage) -> None:
    ended = stage.play(Scenario("settled", [["orders"]], status="failed", settle_calls=3))
    assert ended.asked("rollback_run") == [{"run_id": "settled", "by_policy": True}] * 3
    assert ended.last("report_run") < ended.first("rollback_run")
    assert (ended.status, ended.execution["error"]) == ("FAILED", "RunFailed")


def test_a_run_that_succeeded_is_not_settled(stage: Stage) -> None:
    assert stage.play(Scenario("kept", [["orders"]])).asked("rollback_run") == []


def test_a_degraded_run_ends_well_and_is_not_settled(stage: Stage) -> None:
    ended = stage.play(Scenario("degraded", [["orders"]], status="degraded"))
    assert (ended.status, ended.asked("rollback_run")) == ("SUCCEEDED", [])


def test_what_a_request_wants_after_a_failure_does_not_apply_to_a_cancelled_run(stage: Stage) -> None:
    ended = stage.play(Scenario("cancelled", [["orders"]], status="cancelled"))
    assert (ended.status, ended.asked("rollback_run")) == ("FAILED", [])


def test_what_stands_in_the_way_of_settling_is_the_cause(stage: Stage) -> None:
    scenario = Scenario("unsettled", [["orders"]], status="failed")
    scenario.fail("rollback_run", "permanent", "request_rejected: Entity orders is being rolled back.")
    ended = stage.play(scenario)
    assert (ended.status, ended.execution["error"]) == ("FAILED", "RunUnsettled")
    assert "being rolled back" in ended.execution["cause"]


def test_links_are_made_until_none_is_left(stage: Stage) -> None:
    ended = stage.play(Scenario("links", [["orders"]], link_calls=4))
    assert len(ended.asked("link_references")) == 4
    assert ended.last("link_references") < ended.first("verify_entity")


def test_an_entity_is_verified_until_nothing_is_left(stage: Stage) -> None:
    ended = stage.play(Scenario("verifies", [["orders"]], verify_calls=3))
    assert ended.asked("verify_entity") == [{"run_id": "verifies", "entity": "orders"}] * 3
    assert (ended.status, ended.last("verify_entity") < ended.first("report_run")) == ("SUCCEEDED", True)


def test_rows_are_deleted_before_anything_is_verified_until_none_is_left(stage: Stage) -> None:
    ended = stage.play(Scenario("deletes", [["orders"]], delete_calls=3))
    assert ended.asked("propagate_deletes") == [{"run_id": "deletes"}] * 3
    assert ended.last("reconcile_entity") < ended.first("propagate_deletes")
    assert ended.last("propagate_deletes") < ended.first("verify_entity")


def test_no_state_nears_256_kib_with_2100_batches(stage: Stage) -> None:
    ended = stage.play(Scenario("large", [["notifications"]], batches={"notifications": 2_100}))
    assert ended.status == "SUCCEEDED"
    assert len(ended.asked("sync_batch")) == 2_100
    payloads = [
        str(value)
        for event in ended.history
        for details in event.values()
        if isinstance(details, dict)
        for name, value in details.items()
        if name in ("input", "output")
    ]
    assert max(map(len, payloads)) < STATE_BYTES // 16
    # The map collects what its batches hand back before it drops it, and that must fit into a state too.
    collected = stage.outputs_of_batches()
    assert len(collected) >= 2_100
    assert sum(len(output) + 1 for output in collected) < STATE_BYTES // 16


def test_segments_are_compared_before_differences_are_confirmed_and_healed_ones_looked_at_again(stage: Stage) -> None:
    scenario = Scenario("reconciled", [["orders", "offices"]], segments={"orders": 3}, heals={"orders": 2})
    ended = stage.play(scenario)
    assert ended.status == "SUCCEEDED"
    assert sorted(e["n"] for e in ended.asked("compare_segment")) == [0, 1, 2]
    assert ended.asked("confirm_differences") == [{"run_id": "reconciled", "entity": "orders"}]
    assert ended.last("compare_segment") < ended.first("confirm_differences")
    healing = ended.asked("sync_batch", purpose="heal")
    assert [batch["entity"] for batch in healing] == ["orders", "orders"]
    assert ended.asked("recheck_entity") == [{"run_id": "reconciled", "entity": "orders"}]
    assert ended.last("sync_batch") < ended.first("recheck_entity") < ended.first("verify_entity")


@pytest.mark.parametrize(("profile", "times"), [("daily", 0), ("on_demand", 0), ("weekly", 1), ("verify", 1)])
def test_only_a_weekly_run_and_a_check_reconcile(stage: Stage, profile: str, times: int) -> None:
    ended = stage.play(Scenario(f"profile-{profile}", [["orders"]], profile=profile))
    assert (ended.status, len(ended.asked("reconcile_entity"))) == ("SUCCEEDED", times)


@pytest.mark.parametrize(
    ("function", "state"),
    [
        ("reconcile_entity", "ReconcileEntity"),
        ("compare_segment", "CompareSegment main 0"),
        ("sync_batch", "HealBatch main 0..1"),
        ("recheck_entity", "ReconcileEntity"),
    ],
)
def test_a_reconcile_that_fails_is_recorded_and_costs_its_entity(stage: Stage, function: str, state: str) -> None:
    segments, heals = {"orders": 1}, {"orders": 1, "offices": 1}
    scenario = Scenario(f"unreconciled-{function}", [["orders", "offices"]], {"orders": 0, "offices": 0}, "failed")
    scenario.segments, scenario.heals = segments, heals
    scenario.fail(function, "permanent", "structure_mismatch: no such column", entity="orders")
    ended = stage.play(scenario)
    assert [(r["entity"], r["state"]) for r in ended.asked("record_failure")] == [("orders", state)]
    assert len(ended.asked("recheck_entity", entity="offices")) == 1
    assert len(ended.asked("verify_entity")) == 2

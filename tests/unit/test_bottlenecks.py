"""What is a bottleneck is more than a large share; a machine that is slow everywhere has none."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_sync.tuning.bottlenecks import bottlenecks
from hybrid_sync.tuning.facts import Facts, Rows, Trigger, Unindexed
from hybrid_sync.tuning.model import PastTimes, ProfileUse
from hybrid_sync.tuning.performance import trend
from hybrid_sync.tuning.schedule import advice
from hybrid_sync.tuning.spent import run_times

NOTES = Unindexed("public.notes", "order_id", 200_000, 5_042.0)
FACTS = Facts(
    rows={"orders": Rows(read=1_000, written=500, compared=500, deleted=100)},
    triggers={"orders": (Trigger("touch", None), Trigger("audit_each", 21.5))},
)


def row(entity: str = "orders", function: str = "s-sync-batch", calls: int = 4, **times: tuple[int, float]) -> Any:
    """Of a run; each time as how often and how many seconds together, `update_target` for the waits within."""
    spent = {}
    for name, (number, seconds) in times.items():
        each = round(seconds / number * 1e6)
        spent[name.replace("_", " ")] = [number, round(seconds * 1e6), each, each]
    whole = sum(seconds for name, (_, seconds) in times.items() if "_" not in name)
    return {
        "entity": entity, "function": function, "calls": calls, "milliseconds": round(whole * 1000), "times": spent,
    }  # fmt: skip


def named(facts: Facts, *rows: Any) -> list[str]:
    return [one.code for one in bottlenecks(run_times(rows), facts)]


def writing(seconds: float, message: float, number: int = 4) -> Any:
    usual = message * 10
    return row(update=(number, seconds), update_target=(number, seconds), map=(10, usual), map_target=(10, usual))


def test_writes_that_cost_far_more_than_other_messages_are_laid_to_the_triggers_that_fire() -> None:
    [one] = bottlenecks(run_times([writing(5.0, 0.001)]), FACTS)
    assert (one.code, one.entity) == ("slow_trigger", "orders")
    assert "touch, audit_each (the target counts 21.5 ms a call of audit_each)" in one.sentence
    assert named(Facts(rows=FACTS.rows), writing(5.0, 0.001)) == ["slow_writes"]


@pytest.mark.parametrize(
    "slow",
    [
        writing(0.8, 0.001),  # a second is nothing
        writing(0.99 * 500 * 0.002, 0.0001),  # a usual price a row
        writing(5.0, 1.2),  # everything is as slow
    ],
)
def test_a_share_alone_is_no_bottleneck(slow: Any) -> None:
    assert named(FACTS, slow) == []


def test_a_small_part_of_a_long_run_is_none() -> None:
    long = row("files", function="s-verify-entity", verify=(1, 60.0))
    assert named(FACTS, writing(5.0, 0.001), long) == []


def test_deletes_are_slow_for_an_index_that_is_missing_and_only_for_that() -> None:
    deleting = row(delete=(4, 2.0), delete_target=(40, 2.0))
    facts = Facts(rows=FACTS.rows, unindexed={"orders": (NOTES,)})
    [one] = bottlenecks(run_times([deleting]), facts)
    assert (one.code, one.ddl) == ("missing_index", "create index concurrently on public.notes (order_id);")
    assert named(FACTS, deleting) == []
    assert named(facts, row(delete=(4, 0.2), delete_target=(40, 0.2))) == []


def test_what_belongs_to_an_entity_within_a_call_about_all_is_that_entitys() -> None:
    deleting = row("", **{"delete/orders": (4, 2.0), "delete/orders_target": (40, 2.0)})
    assert named(Facts(rows=FACTS.rows, unindexed={"orders": (NOTES,)}), deleting) == ["missing_index"]


def test_a_long_wait_for_locks_is_one_and_many_short_ones_are_none() -> None:
    assert named(FACTS, row(lock=(2, 6.0), lock_target=(2, 6.0))) == ["lock_waits"]
    assert named(FACTS, row(lock=(20, 6.0), lock_target=(20, 6.0))) == []


def test_legacy_is_one_where_a_scan_is_long_or_a_row_is_dear() -> None:
    assert named(FACTS, row(detect=(1, 9.0), detect_legacy=(1, 9.0))) == ["legacy_scan"]
    assert named(FACTS, row(detect=(4, 9.0), detect_legacy=(4, 9.0))) == []
    assert named(FACTS, row(read=(4, 9.0), read_legacy=(4, 9.0))) == ["legacy_scan"]
    assert named(FACTS, row(read=(4, 1.9), read_legacy=(4, 1.9))) == []


def test_a_pool_is_one_where_it_refuses_or_takes_long_to_let_in() -> None:
    refused = row(calls=20, map=(20, 2.0)) | {"times": {"refused target": [8, 80_000, 1, 1]}}
    assert named(FACTS, refused) == ["throttled_pool"]
    assert named(FACTS, refused | {"calls": 200}) == []
    slow = row(calls=20, map=(20, 4.0)) | {"times": {"connect legacy": [3, 6_000_000, 1, 1]}}
    assert named(FACTS, slow) == ["throttled_pool"]
    assert named(FACTS, slow | {"times": {"connect legacy": [30, 6_000_000, 1, 1]}}) == []


def test_a_long_way_to_a_database_is_one_where_most_time_goes_into_it() -> None:
    far = row(map=(400, 10.0), map_target=(400, 8.0))
    assert named(FACTS, far) == ["round_trips"]
    assert named(FACTS, row(map=(4_000, 10.0), map_target=(4_000, 8.0))) == []


@pytest.mark.parametrize(("starts", "code"), [((9, 6, 9.0), ["cold_starts"]), ((9, 4, 9.0), []), ((4, 4, 9.0), []),
                                              ((9, 6, 3.0), [])])  # fmt: skip
def test_workers_that_start_are_one_where_they_mostly_do(starts: tuple[int, int, float], code: list[str]) -> None:
    assert named(Facts(starts=starts), row(map=(1, 0.1))) == code


def test_a_start_is_no_part_of_the_run() -> None:
    one = row(start=(1, 3.0), read=(1, 2.0)) | {"milliseconds": 6_000}
    times = run_times([one])
    assert [(step.step, step.seconds) for step in times.steps] == [("read", 2.0), ("sync batch", 1.0)]
    assert times.seconds == 3.0


def past(*seconds: float) -> list[PastTimes]:
    moment = "2026-11-22T01:00:00Z"
    return [
        PastTimes.model_validate({"run_id": "r", "started_at": moment, "seconds": one, "steps": {"read": one}})
        for one in seconds
    ]


def test_a_trend_needs_runs_before_and_a_difference_that_a_person_notices() -> None:
    assert trend(past(10, 90)).startswith("There are too few")
    assert trend(past(2, 2, 2, 9)).startswith("As usual")
    assert trend(past(60, 60, 60, 80)).startswith("As usual")
    assert trend(past(60, 62, 61, 120)).endswith("The step read has grown most, by 59.0 s.")


def used(profile: str, runs: int, idle: int, dollars: float = 0.7) -> ProfileUse:
    return ProfileUse(profile=profile, runs=runs, idle=idle, rows=0, changed=0, dollars=dollars)


def test_a_schedule_is_advised_where_another_would_fit_better() -> None:
    assert advice("tasks", 0, 0, 10, [used("daily", 10, 9)]) == (
        "tasks: nothing changed in 9 of 10 daily runs: weekly is enough, and saves $0.6000 in the same time."
    )
    assert advice("programs", 312, 290, 7, [used("weekly", 1, 0), used("on_demand", 312, 22, 1.25)]) == (
        "programs: 312 on-demand runs for 290 different keys in 7 days, $1.2500; add it to a daily run."
    )


@pytest.mark.parametrize(
    ("asked", "profiles"),
    [(0, [used("daily", 10, 8)]), (0, [used("daily", 4, 4)]), (0, [used("weekly", 10, 10)]), (20, [])],
)
def test_a_schedule_that_fits_is_let_be(asked: int, profiles: list[ProfileUse]) -> None:
    assert advice("tasks", asked, asked, 7, profiles) == ""

"""The benchmark's own parts that need no server: its catalog, its judgement, what stays of an earlier form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.peers import catalog, words
from bench.peers.goals import GOALS
from bench.peers.long.patience import Patience, per_row
from bench.peers.results import amended, judged
from bench.peers.tables import TABLES
from hybrid_sync.catalog.load import load
from hybrid_sync_cli.errors import CliError


def results(**medians: dict[str, dict[str, float]]) -> dict[str, Any]:
    return {"medians": medians, "noisy": False}


def first(wall: float, client: float = 1.0) -> dict[str, dict[str, float]]:
    return {"first": {"wall": wall, "client": client, "peak_mb": 80.0}}


def test_the_twelve_entities_are_a_catalog_as_a_user_writes_one(tmp_path: Path) -> None:
    catalog.write(tmp_path)
    assert list(load(tmp_path).entities) == sorted(table.name for table in TABLES)


def test_a_ratio_is_judged_by_its_goal() -> None:
    found = judged(results(engine=first(9.0), copy=first(10.0)), {}, {"growth": 1.1})
    assert found["ratios"]["first_empty_vs_copy"] == 0.9
    assert found["goals"]["first_empty_vs_copy"]["met"] is False
    assert found["goals"]["growth"]["met"] is True
    assert found["goals"]["delta_vs_fdw"]["met"] is None
    assert set(found["ratios"]) == {goal.key for goal in GOALS}


def test_an_idle_day_may_take_a_second_whatever_legacy_holds() -> None:
    idle = {"engine": {"idle": {"wall": 1.4, "peak_mb": 80.0}}, "fence_scan": {"idle": {"wall": 0.2}}}
    assert judged(results(**idle), {}, {})["goals"]["idle_daily_vs_fence_scan"]["met"] is True
    idle["engine"]["idle"]["wall"] = 1.6
    assert judged(results(**idle), {}, {})["goals"]["idle_daily_vs_fence_scan"]["met"] is False


def test_dlt_takes_part_with_its_best_reader() -> None:
    found = judged(results(engine=first(6.0), dlt=first(12.0), dlt_pyarrow=first(10.0)), {}, {})
    assert found["ratios"]["first_empty_vs_dlt_best"] == 0.6


def test_what_the_short_form_does_not_measure_stays_with_its_date() -> None:
    earlier = judged(results(engine=first(9.0), copy=first(10.0)), {}, {"growth": 1.1})
    earlier["goals"]["growth"]["date"] = "2026-01-01"
    now = judged(results(engine=first(7.0), copy=first(10.0)), earlier, {})
    assert (now["ratios"]["growth"], now["goals"]["growth"]["date"]) == (1.1, "2026-01-01")
    assert now["ratios"]["first_empty_vs_copy"] == 0.7


def test_parts_measured_alone_replace_their_ratios_and_touch_no_other_one() -> None:
    earlier = judged(results(engine=first(9.0), copy=first(10.0)), {}, {"growth": 1.1})
    earlier["goals"]["growth"]["date"] = earlier["goals"]["first_empty_vs_copy"]["date"] = "2026-01-01"
    now = amended(earlier, {"growth": 1.2, "peaks_mb": [130.0]}, noisy=False)
    assert (now["ratios"]["growth"], now["goals"]["growth"]["met"], now["ratios"]["peak_mb"]) == (1.2, False, 130.0)
    assert now["goals"]["growth"]["date"] != "2026-01-01"
    assert now["goals"]["first_empty_vs_copy"] == earlier["goals"]["first_empty_vs_copy"]
    assert now["long"]["growth"] == 1.2


def test_a_goal_that_is_new_is_not_measured_until_its_part_was() -> None:
    earlier = judged(results(engine=first(9.0), copy=first(10.0)), {}, {})
    del earlier["goals"]["cold_event_seconds"]
    assert amended(earlier, {}, noisy=False)["goals"]["cold_event_seconds"]["met"] is None
    told = amended(earlier, {"cold_event_seconds": 2.5}, noisy=False)["goals"]["cold_event_seconds"]
    assert (told["value"], told["met"]) == (2.5, True)


def test_a_part_begins_nothing_that_would_take_longer_than_it_may() -> None:
    said: list[str] = []
    left = Patience(60, per_row({"medians": {"engine": first(10.0)}, "rows": 500_000}), said.append)
    left.require("a million", 1_000_000)
    assert said == ["a million: about 20 s, 60 s are left for this part"]
    left.saw(1_000, 2.0)
    left.saw(1_001_000, 52.0)
    with pytest.raises(CliError, match="two millions would take about 100 s"):
        left.require("two millions", 2_000_000)


def test_a_page_keeps_what_stands_around_the_results() -> None:
    once = words.page(f"before\n{words.BEGIN}\nold\n{words.END}\nafter", iter(["new"]))
    assert once == f"before\n{words.BEGIN}\nnew\n{words.END}\nafter"
    assert words.page(once, iter(["new"])) == once

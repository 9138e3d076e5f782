"""What README, bench/README.md and the plot say about speed is what bench/results.json says."""

from __future__ import annotations

import pytest

from bench.peers import plot, words
from bench.peers.goals import GOALS
from bench.peers.measure import PROJECT
from bench.peers.results import Results, read

KEYS = {
    "first_empty_vs_copy", "first_live_vs_copy", "first_empty_vs_sling_bare", "first_empty_vs_dlt_best",
    "first_live_vs_fdw", "delta_vs_fdw", "delta_vs_sling", "delta_vs_dlt", "idle_daily_vs_fence_scan", "check_vs_md5",
    "client_vs_prototype", "stack_vs_engine", "stack_cpu_vs_engine", "cold_event_seconds",
    "messages_vs_copy", "growth", "peak_mb",
}  # fmt: skip


@pytest.fixture(scope="module")
def results() -> Results:
    return read()


@pytest.mark.parametrize("name", words.PAGES)
def test_a_page_quotes_the_results(name: str, results: Results) -> None:
    text = (PROJECT / name).read_text("utf-8")
    assert text == words.page(text, words.PAGES[name](results)), "run `python -m bench report`"


def test_the_plot_shows_the_results(results: Results) -> None:
    assert (PROJECT / plot.FILE).read_text("utf-8") == plot.drawn(results), "run `python -m bench report`"


def test_every_ratio_has_its_goal_and_is_judged_by_it(results: Results) -> None:
    assert set(results["ratios"]) == {goal.key for goal in GOALS} == KEYS
    for goal in GOALS:
        said = results["goals"][goal.key]
        assert (said["goal"], said["value"]) == (goal.goal, results["ratios"][goal.key])
        if said["value"] is not None and not goal.allowed:
            assert said["met"] is (said["value"] <= goal.most), goal.key

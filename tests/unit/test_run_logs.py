"""The log of one run is put together from many groups, page by page, and nothing passes but what we know of a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from hybrid_sync.services.log_lines import PATIENCE, RunLogs
from hybrid_sync.services.messages.logs import LogsAsked
from hybrid_sync_cli.commands.logs import in_words

RUN = "weekly-20261126T152800-4fc1d2"
BEGAN = datetime(2026, 11, 26, 15, 28, tzinfo=UTC)


def event(second: int, **told: Any) -> dict[str, Any]:
    line = {"level": "INFO", "message": "step done", "run_id": RUN, "function": "hybrid-sync-sync-batch", **told}
    return {"timestamp": int((BEGAN + timedelta(seconds=second)).timestamp() * 1000), "message": json.dumps(line)}


class Groups:
    """Log groups of some pages each, as FilterLogEvents hands them out; it notes what was asked."""

    def __init__(self, **pages: list[list[dict[str, Any]]]) -> None:
        self._pages = pages
        self.asked: list[dict[str, Any]] = []

    def filter_log_events(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        pages = self._pages[asked["logGroupName"]]
        number = int(asked.get("nextToken", 0))
        more = {"nextToken": str(number + 1)} if number + 1 < len(pages) else {}
        return {"events": pages[number], **more}


def test_every_page_of_every_group_is_read_empty_ones_too() -> None:
    groups = Groups(a=[[event(1)], [], [event(3)]], b=[[event(2)]])

    lines, whole = RunLogs(("a", "b"), groups).of(RUN, BEGAN, BEGAN + timedelta(minutes=1))

    assert (sorted(line.at.second for line in lines), whole) == ([1, 2, 3], True)
    assert {one["filterPattern"] for one in groups.asked} == {f'"{RUN}"'}
    assert {one["endTime"] - one["startTime"] for one in groups.asked} == {60_000}


def test_a_line_passes_as_keys_codes_and_numbers_and_nothing_else() -> None:
    told = event(
        1, entity="payments", batch="payment 0..500", read=412, done=True, error="contention: Busy.", secret="x",
        rows=[{"name": "Ann"}], xray_trace_id="1-2",
    )  # fmt: skip

    [line] = RunLogs(("a",), Groups(a=[[told]])).of(RUN, BEGAN, BEGAN)[0]

    assert line.model_dump(exclude={"at"}) == {
        "level": "INFO", "message": "step done", "function": "hybrid-sync-sync-batch", "entity": "payments",
        "batch": "payment 0..500", "error": "contention: Busy.", "raised_at": "",
        "numbers": {"read": 412, "done": True},
    }  # fmt: skip
    assert in_words(line, "hybrid-sync") == (
        "15:28:01 sync-batch payments, payment 0..500: step done; contention: Busy.; read 412, done"
    )


def test_lines_of_other_runs_and_what_is_no_line_of_ours_do_not_pass() -> None:
    strange = [
        event(1, run_id=f"{RUN}-2"), {"timestamp": 0, "message": f"START {RUN}"},
        {"timestamp": 0, "message": f'"{RUN}"'},
    ]  # fmt: skip

    assert RunLogs(("a",), Groups(a=[strange])).of(RUN, BEGAN, BEGAN) == ([], True)


def test_logs_that_are_too_long_are_told_as_far_as_they_were_read() -> None:
    def clock() -> Iterator[float]:
        yield from (0.0, 1.0, PATIENCE + 1)

    ticks = clock()
    groups = Groups(a=[[event(1)]], b=[[event(2)]], c=[[event(3)]])

    lines, whole = RunLogs(("a", "b", "c"), groups, lambda: next(ticks)).of(RUN, BEGAN, BEGAN)

    assert ([line.at.second for line in lines], whole) == ([1, 2], False)


def test_nobody_asks_by_a_pattern_of_their_own() -> None:
    with pytest.raises(ValidationError):
        LogsAsked(run_id='x" ?ERROR')

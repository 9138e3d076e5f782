"""What runs before this release recorded and reported is read as it was meant."""

from __future__ import annotations

from typing import Any

from hybrid_sync.recorded.asked import AskedRow
from hybrid_sync.recorded.checks import Deletes, Reconcile, ReferenceLine
from hybrid_sync.recorded.conservation import Conservation
from hybrid_sync.recorded.money import MoneyLine
from hybrid_sync.report.model import RunSummary
from tests.report.conftest import Sampled

LATER = {"unexplained", "stale_in_target", "pending_deletes", "current_rows", "in_flight_rows", "unexplained_rows",
         "not_numbers"}  # fmt: skip
"""Numbers of a line of money that a report of 2026-11-25 did not keep."""


def of_before(value: Any) -> Any:
    """The document without what it did not hold then."""
    if isinstance(value, list):
        return [of_before(item) for item in value]
    if not isinstance(value, dict):
        return value
    left_out = LATER if "currency" in value else ()
    return {name: of_before(held) for name, held in value.items() if name not in left_out}


def test_a_report_of_before_is_read_with_every_number_that_it_had(sampled: Sampled) -> None:
    now: dict[str, Any] = RunSummary.model_validate(sampled.reports.documents["second"]).model_dump(mode="json")
    then = of_before(now)
    assert then != now
    assert of_before(RunSummary.model_validate(then).model_dump(mode="json")) == then


def test_records_of_the_first_releases_are_read_as_they_were_meant() -> None:
    where = Conservation.model_validate({
        "legacy": 10, "migrated": 8, "failed_present": 1, "failed_absent": 2, "excluded": 0, "in_flight": 0,
        "missing": 0, "target": 8, "native": 3, "pending_deletes": 0, "ok": True,
    })  # fmt: skip
    assert (where.current, where.stale, where.absent, where.adds_up, where.ok) == (7, 1, 2, True, True)
    line = MoneyLine.model_validate(
        {"column": "total", "currency": "USD", "legacy": "10.50", "target": "10.25", "rows": 2, "equal": False}
    )
    assert (str(line.current), str(line.missing), line.agrees) == ("10.50", "0.25", False)
    line = ReferenceLine.model_validate({"column": "order_id", "carried": 5, "dangling": 1, "ok": False, "more": "x"})
    assert (line.ok, line.sound, line.left_empty) == (False, False, 0)
    assert AskedRow.model_validate({"entity": "e", "source": "s", "key": [1], "state": "current", "ok": True}).ok
    assert Deletes.model_validate({"candidates": 2, "deleted": 1, "marked_rows": 1}).gone == 1
    assert Reconcile.model_validate({"done": True, "segments_planned": 4, "target_xmin": "7"}).differing == 0


def test_what_is_recorded_is_what_is_read() -> None:
    where = Conservation.nothing()
    where.legacy, where.current, where.missing_keys = 3, 2, ((1, 2),)
    kept = where.as_json()
    assert (kept["ok"], kept["missing_keys"]) == (False, [[1, 2]])
    assert Conservation.model_validate(kept).missing_keys == ((1, 2),)
    assert Reconcile.some(done=True, healed=2) == {"done": True, "healed": 2}
    assert Deletes(done=True).as_json() == {
        "candidates": 0, "guarded": 0, "done": True, "deleted": 0, "soft": 0, "back": 0, "refused": {}, "undeleted": 0,
    }  # fmt: skip

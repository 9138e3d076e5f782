"""A rollback is told by what it put back and what it left alone, and never as a run that does not add up."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from hybrid_sync.report.model import LeftAlone, Rollback, RunSummary, UndoneEntity
from hybrid_sync.report.render import to_html, to_json, to_markdown
from hybrid_sync_cli.tables import report
from tests.report.summaries import entity, run

LEFT = LeftAlone(entity="payments", reason="superseded", by_run="weekly-4", records=1_200, keys=("payment:7",))


def undone(*conflicts: LeftAlone, status: str = "succeeded") -> RunSummary:
    payments = UndoneEntity(
        entity="payments", title="Payments <b>", updated=1_300, deleted=40, inserted=2, unchanged=5,
        conflicts={c.reason: c.records for c in conflicts},
    )  # fmt: skip
    offices = UndoneEntity(entity="offices", title="offices", updated=1)
    entities = tuple(
        entity(name, status="undone", conservation=None, money=(), detection=None) for name in ("offices", "payments")
    )
    return run(
        run_id="rollback-weekly-3-1", profile="rollback", status=status, entities=entities, missed=(), records=(),
        rollback=Rollback(undoes="weekly-3", entities=(payments, offices), conflicts=conflicts),
    )  # fmt: skip


def test_a_clean_rollback_says_what_is_as_before() -> None:
    text = to_markdown(undone())
    assert "**Undone.**" in text
    assert "Run weekly-3 was undone. 1,343 rows are as before it. No row was left alone." in text
    assert "| Offices | 1 | 0 | 0 | 0 | 0 |" in text
    assert "| **All components** | **1,301** | **40** | **2** | **5** | **0** |" in text
    assert "hybrid-sync release offices payments" in text
    assert "hybrid-sync rollback rollback-weekly-3-1" in text
    for unasked in ("add up", "Left alone\n", "Not looked at", "Success rate"):
        assert unasked not in text


def test_what_was_left_alone_is_named_by_reason_and_key() -> None:
    text = to_markdown(undone(LEFT))
    assert "**Undone, with rows left alone.**" in text
    assert "1,200 rows were left alone" in text
    row = next(line for line in text.splitlines() if "written by a later run" in line)
    assert [cell.strip(" `") for cell in row.strip("|").split("|")] == [
        "Payments \\<b\\>", "written by a later run", "weekly-4", "1,200",
        "payments/payment:7",
    ]  # fmt: skip
    page = to_html(undone(LEFT))
    assert "payments/payment:7" in page
    assert "<b>" not in page


@pytest.mark.parametrize("status", ["running", "failed"])
def test_one_that_has_not_ended_well_is_not_called_undone(status: str) -> None:
    assert "**Undone" not in to_markdown(undone(status=status))


def test_json_keeps_all_of_it() -> None:
    assert RunSummary.model_validate_json(to_json(undone(LEFT))) == undone(LEFT)


def test_the_terminal_shows_it_as_well() -> None:
    out = io.StringIO()
    report(undone(LEFT), Console(file=out, width=160))
    assert "undoes weekly-3" in out.getvalue()
    assert "payment:7" in out.getvalue()
    assert "add up" not in out.getvalue()

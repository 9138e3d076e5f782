"""Every reference column is told in all three renderings; what dangles or was lost is named and breaks the sum."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from hybrid_sync.recorded.checks import ReferenceLine
from hybrid_sync.report.render import to_html, to_json, to_markdown
from hybrid_sync.report.summary import summarise
from tests.report.records import CATALOG, EQUATION, add_entity, add_run, keep_report, move_run
from tests.report.summaries import entity, run

GOOD: dict[str, Any] = {
    "column": "office_id", "parents": ["offices"], "carried": 17_000, "without": 220, "waiting": 7, "left_empty": 3,
    "dangling": 0, "lost": 0, "dangling_keys": [], "lost_keys": [], "ok": True,
}  # fmt: skip
BAD: dict[str, Any] = {
    "column": "owner_id", "parents": ["people", "offices"], "carried": 40, "without": 1, "waiting": 0, "left_empty": 0,
    "dangling": 2, "lost": 1_300, "dangling_keys": ["payment:7", "payment:8"], "lost_keys": ["payment:9"], "ok": False,
}  # fmt: skip


def lines(*found: dict[str, Any]) -> tuple[ReferenceLine, ...]:
    return tuple(ReferenceLine.model_validate(line) for line in found)


def cells(text: str, column: str) -> list[str]:
    section = text.split("## References")[1].split("\n## ")[0]
    [row] = [row for row in section.splitlines() if f"| {column} |" in row and "payment:" not in row]
    return [cell.strip() for cell in row.strip("|").split("|")]


def add(store: psycopg.Connection[Any], run_id: str, *found: dict[str, Any]) -> None:
    add_run(store, run_id)
    add_entity(store, run_id, "payments", conservation=EQUATION)
    store.execute("update hybrid_sync.run_entity set reference_counts = %s where run_id = %s", (Jsonb(found), run_id))


def test_what_was_verified_is_in_the_summary_and_in_json(store: psycopg.Connection[Any]) -> None:
    add(store, "r1", GOOD, BAD)
    summary = summarise(store, "r1", CATALOG)
    assert summary.entities[0].references == lines(GOOD, BAD)
    assert json.loads(to_json(summary))["entities"][0]["references"] == [GOOD, BAD]
    assert summary.conserved is False


def test_references_that_are_all_there_add_up(store: psycopg.Connection[Any]) -> None:
    add(store, "r1", GOOD)
    keep_report(store, "r1")
    add(store, "r2", BAD)
    move_run(store, "r2", 7)
    add(store, "r3", GOOD)
    move_run(store, "r3", 14)
    summary = summarise(store, "r3", CATALOG)
    assert summary.conserved is True
    assert [(past.run_id, past.adds_up) for past in summary.past] == [("r1", "explained"), ("r2", "NO")]


def test_every_column_is_a_line_of_the_page_and_of_the_markdown() -> None:
    told = run(entities=(entity(references=lines(GOOD)), entity("offices")))
    assert cells(to_markdown(told), "office_id") == [
        "Payments", "office_id", "offices", "17,000", "220", "7", "3", "0", "0", "yes",
    ]  # fmt: skip
    assert "None dangles and none was lost." in to_markdown(told)
    assert "References that lead nowhere" not in to_markdown(told)
    page = to_html(told)
    assert "References per component and column" in page
    assert "office_id" in page


def test_what_dangles_or_was_lost_is_named_by_key_and_does_not_add_up() -> None:
    told = run(entities=(entity(references=lines(GOOD, BAD)),))
    text = to_markdown(told)
    assert "**Does not add up.**" in text
    assert "References lead nowhere, or were lost, in: payments." in text
    assert "2 references dangle, 1,300 lost." in text
    assert cells(text, "owner_id")[2:] == ["people<br>offices", "40", "1", "0", "0", "2", "1,300", "NO"]
    for key in ("payments/payment:7", "payments/payment:8", "payments/payment:9"):
        assert key in text
        assert key in to_html(told)


def test_without_a_reference_there_is_no_such_section() -> None:
    assert "\n## References\n" not in to_markdown(run())

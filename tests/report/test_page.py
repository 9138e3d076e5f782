"""The page has a sound structure, needs nothing else, and lets no text become markup."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest

from hybrid_sync.report.page import page
from hybrid_sync.report.render import to_both, to_html, to_json, to_markdown
from hybrid_sync.report.story import never_began
from tests.report.summaries import (
    conservation,
    entity,
    failed_entity,
    line,
    missed_cause,
    past,
    record,
    run,
)

VOID = {"meta", "link", "br", "path", "rect", "line", "use"}


class Tree(HTMLParser):
    """Elements in order, and whether every one that is opened is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.headings: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            self.headings.append(f"{self.open[-1]} {data}")

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_the_headings_tell_the_story_in_order() -> None:
    assert Tree(to_html(run())).headings == [
        "h1 Weekly sync of 22 November 2026",
        "h2 Summary",
        "h2 Components",
        "h2 Missed records",
        "h3 Missing parent",
        "h3 Oldest missed records",
        "h2 Money",
        "h2 Earlier runs",
        "h2 Throughput",
        "h2 Freshness",
        "h2 Not looked at",
        "h2 Memory",
    ]


def test_every_element_is_closed_and_every_name_is_used_once() -> None:
    tree = Tree(to_html(run()))
    assert tree.open == []
    names = Counter(attributes["id"] for _, attributes in tree.found if "id" in attributes)
    assert [name for name, times in names.items() if times > 1] == []
    links = [str(attributes["href"]) for attributes in tree.all("a")]
    assert [link for link in links if link.removeprefix("#") not in names] == []


def test_tables_name_themselves_their_columns_and_their_rows() -> None:
    tree = Tree(to_html(run()))
    assert len(tree.all("caption")) == len(tree.all("table")) == 11
    assert {attributes.get("scope") for attributes in tree.all("th")} == {"col", "row"}


def test_the_page_asks_for_nothing_and_runs_nothing() -> None:
    text = to_html(run())
    tree = Tree(text)
    assert tree.all("script") == tree.all("img") == tree.all("iframe") == tree.all("form") == []
    assert re.findall(r"https?:|url\(|@import|\son\w+=|\sstyle=", text) == []
    [policy] = [m["content"] for m in tree.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


HOSTILE = """<script>alert(1)</script>"' onload='x' & | <b>"""


def hostile() -> Any:
    return run(
        run_id=HOSTILE,
        trigger=HOSTILE,
        entities=(
            entity(HOSTILE, title=HOSTILE, money=(line(HOSTILE, "USD", "1", status=HOSTILE),), headline=HOSTILE),
            failed_entity(HOSTILE, HOSTILE),
        ),
        missed=(missed_cause(title=HOSTILE, entity=HOSTILE, reason=HOSTILE, meaning=HOSTILE, remedy=HOSTILE,
                             keys=(HOSTILE,)),),
        records=(record(1, entity=HOSTILE, source=HOSTILE, column=HOSTILE, waits_for=HOSTILE),),
        past=(past(1, run_id=HOSTILE, status=HOSTILE),),
        not_looked_at=(HOSTILE,),
    )  # fmt: skip


def test_no_text_becomes_markup() -> None:
    text = to_html(hostile())
    tree = Tree(text)
    assert tree.open == []
    assert tree.all("script") == tree.all("b") == []
    assert [a for _, attributes in tree.found for a in attributes if a.startswith("on")] == []
    assert text.count("&lt;script&gt;") >= 20


def test_no_text_becomes_markup_in_markdown_either() -> None:
    text = to_markdown(hostile())
    assert re.findall(r"(?<!\\)<(?!br>|[ 0])[a-z/]", re.sub(r"`[^`]*`", "", text)) == []
    rows = [row for row in text.splitlines() if row.startswith("|")]
    widths = [len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", row))) for row in rows]
    assert set(widths) <= {4, 5, 6, 7, 8, 9, 10, 11, 12, 13}


@pytest.mark.parametrize(
    "number",
    [
        "34,452 / 34,458",
        "99.94 %",
        "99.98 %",
        "USD 8,560,000.00",
        "JPY 1,200",
        "2026-11-22 00:59 UTC",
        "206",
        "2026-11-15 01:00 UTC",
    ],
)
def test_page_and_markdown_say_the_same_numbers(number: str) -> None:
    assert number in to_html(run())
    assert number in to_markdown(run())


def test_a_story_that_is_told_once_is_the_same_in_both_shapes() -> None:
    assert to_both(run()) == (to_html(run()), to_markdown(run()))


def test_the_json_holds_the_numbers_that_the_page_shows() -> None:
    text = to_json(run())
    for fact in ('"success_rate": 0.9998', '"current_rows": 34452', '"missed_records": 3', '"financial_impact"'):
        assert fact in text


def test_a_failed_record_is_linked_from_its_cause() -> None:
    tree = Tree(to_html(run()))
    rows = {attributes.get("id") for attributes in tree.all("tr")}
    links = [str(a["href"]) for a in tree.all("a") if str(a["href"]).startswith("#record-")]
    assert links == ["#record-payments-payment-7", "#record-payments-payment-8"]
    assert {link.removeprefix("#") for link in links} <= rows


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "Succeeded, with missed records"),
        ({"missed": (), "records": ()}, "Succeeded"),
        ({"status": "running", "finished_at": None}, "Still at work"),
        ({"status": "failed"}, "Failed"),
        ({"status": "cancelled"}, "Cancelled"),
        ({"entities": (entity(money=(line("total", "USD", "1.00", target="1.01"),)),)}, "Does not add up"),
        ({"entities": (entity(conservation=conservation(missing=1, ok=False)),)}, "Does not add up"),
    ],
)
def test_the_verdict_says_how_the_run_ended(changed: dict[str, Any], verdict: str) -> None:
    assert f"</svg>{verdict}</span></p>" in to_html(run(**changed))
    assert f"**{verdict}.**" in to_markdown(run(**changed))


def test_money_that_differs_is_named_and_its_statuses_are_not_folded_away() -> None:
    wrong = entity(money=(line("total", "USD", "1.00", target="1.01", status="paid"),))
    text = to_html(run(entities=(wrong,)))
    assert "Money differs between legacy and target in: payments." in text
    assert "Every sum by status" not in text
    assert "USD 1.01" in text


def test_a_component_that_failed_stands_first_with_its_remedy() -> None:
    tree = Tree(to_html(run(status="failed", entities=(failed_entity("offices", "There is no table offices."),))))
    assert tree.headings[2] == "h2 What went wrong"


def test_a_run_that_never_began_has_a_page_too() -> None:
    text = page(never_began("weekly-9", "catalog_invalid", "The catalog has a <mistake>."))
    assert "catalog_invalid: The catalog has a &lt;mistake&gt;." in text
    assert Tree(text).open == []


def test_a_chart_is_told_in_words_to_those_who_do_not_see_it() -> None:
    tree = Tree(to_html(run()))
    told = [a["aria-label"] for a in tree.all("svg") if a.get("role") == "img"]
    assert "Missed records. 11-08: 2; 11-15: 3; 11-22: 3." in told
    assert all(a.get("aria-hidden") == "true" for a in tree.all("svg") if a.get("role") != "img")

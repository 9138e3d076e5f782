"""The report of real runs in a real browser: on a desk and on a phone, by day and by night, and without a mouse."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.report.browser.chromium import Page
from tests.report.browser.png import Color, decode

WIDE, NARROW = 1280, 390
MEASURE = (Path(__file__).parent / "measure.js").read_text(encoding="utf-8")

sizes = pytest.mark.parametrize("width", [WIDE, NARROW])
schemes = pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])


@sizes
@schemes
def test_the_page_opens_without_a_complaint_and_asks_for_nothing(
    tab: Page, report: str, width: int, dark: bool
) -> None:
    tab.open(report, width=width, dark=dark)

    assert tab.complaints() == []
    assert tab.requested() == [report]


@sizes
@pytest.mark.parametrize("unfolded", [False, True])
def test_nothing_is_wider_than_the_screen(tab: Page, report: str, width: int, unfolded: bool) -> None:
    tab.open(report, width=width)
    if unfolded:
        tab.js("document.querySelectorAll('details').forEach((fold) => { fold.open = true })")

    assert tab.js("document.scrollingElement.scrollWidth <= window.innerWidth") is True
    outside = (
        "[...document.querySelectorAll('main *')].filter((e) => e.checkVisibility() && !e.closest('.scroll table') "
        "&& e.getBoundingClientRect().right > window.innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert tab.js(outside) == []


def test_what_is_wider_than_its_box_can_be_scrolled_with_the_keyboard(tab: Page, report: str) -> None:
    tab.open(report, width=NARROW)
    scrolled = tab.js(
        "(() => { const wide = [...document.querySelectorAll('.scroll')].filter("
        "   (e) => e.checkVisibility() && !e.matches('.stacked') && e.scrollWidth > e.clientWidth);"
        " wide[0].focus();"
        " return [wide.length, wide.every((e) => e.tabIndex === 0 && e.getAttribute('aria-label'))] })()"
    )
    assert scrolled[0] > 3
    assert scrolled[1]

    tab.press("ArrowRight", 39)

    moved = "new Promise((done) => { const look = () => document.activeElement.scrollLeft > 0 ? done(true)"
    assert tab.js(f"{moved} : requestAnimationFrame(look); look() }})") is True


@sizes
@schemes
def test_every_text_stands_out_from_its_ground(tab: Page, report: str, width: int, dark: bool) -> None:
    tab.open(report, width=width, dark=dark)
    tab.js("document.querySelectorAll('details').forEach((fold) => { fold.open = true })")

    measured = tab.js(MEASURE)

    assert measured["seen"] > 500
    assert measured["weak"] == []


def test_the_keyboard_reaches_everything_in_reading_order_and_shows_where_it_is(tab: Page, report: str) -> None:
    tab.open(report, width=WIDE)
    expected = tab.js(
        "[...document.querySelectorAll('a[href], summary, [tabindex=\"0\"]')].filter((e) => e.checkVisibility())"
        ".map((e, n) => { e.dataset.stop = n; return n })"
    )
    reached: list[int] = []
    for _ in expected:
        tab.press("Tab", 9)
        stop: dict[str, Any] = tab.js(
            "(() => { const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();"
            " return { stop: Number(e.dataset.stop), outline: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth),"
            " seen: r.bottom > 0 && r.top < innerHeight } })()"
        )
        assert stop["outline"] >= 2, stop
        assert stop["seen"], stop
        reached.append(stop["stop"])

    assert reached == expected


def test_the_first_stop_skips_to_the_report(tab: Page, report: str) -> None:
    tab.open(report, width=NARROW)
    tab.press("Tab", 9)
    assert tab.js("document.activeElement.textContent") == "Skip to the report"
    assert tab.js("document.activeElement.getBoundingClientRect().top >= 0") is True

    tab.press("Enter", 13)

    assert tab.js("location.hash + ' ' + document.activeElement.id") == "#main main"


def test_a_fold_opens_with_the_keyboard(tab: Page, report: str) -> None:
    tab.open(report, width=WIDE)
    tab.js("document.querySelector('summary').focus()")
    tab.press("Enter", 13)
    assert tab.js("document.querySelector('details').open") is True


def test_a_failed_record_is_found_from_its_cause(tab: Page, report: str) -> None:
    tab.open(report, width=WIDE)
    tab.js("document.querySelector('td a[href^=\"#record-\"]').click()")
    assert tab.js("document.querySelector('tr:target').getBoundingClientRect().top < innerHeight") is True


def test_headings_leave_no_level_out(tab: Page, report: str) -> None:
    tab.open(report, width=WIDE)
    levels = tab.js("[...document.querySelectorAll('h1, h2, h3, h4')].map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))


def test_tables_stay_tables_to_those_who_listen(tab: Page, report: str) -> None:
    tab.open(report, width=NARROW)
    tree = tab.do("Accessibility.getFullAXTree")["nodes"]
    roles = [node.get("role", {}).get("value") for node in tree if not node.get("ignored")]
    names = [node["name"]["value"] for node in tree if node.get("role", {}).get("value") == "table" and "name" in node]
    assert "Rows and money per component" in names
    assert roles.count("rowheader") > 50
    assert roles.count("main") == roles.count("navigation") == roles.count("banner") == 1


def test_on_paper_there_is_no_navigation_and_no_scrolling(tab: Page, report: str) -> None:
    tab.open(report, width=WIDE)
    tab.do("Emulation.setEmulatedMedia", media="print")
    assert tab.js("getComputedStyle(document.querySelector('.contents')).display") == "none"
    assert tab.js("[...document.querySelectorAll('.scroll')].every((e) => getComputedStyle(e).overflowX === 'visible')")
    tab.do("Emulation.setEmulatedMedia", media="")


@schemes
def test_the_page_is_really_painted(tab: Page, report: str, dark: bool) -> None:
    tab.open(report, width=NARROW, dark=dark)
    picture = decode(tab.picture(height=1_600))

    paper = picture.at(2, 2)
    assert (_light(paper) < 0.1) if dark else (_light(paper) > 0.85)
    assert picture.width == NARROW
    assert len(picture.colors(0, 0, NARROW, picture.height)) > 200
    # Letters: the heading's box holds its ground and, well apart from it, its ink.
    heading = picture.colors(*_box(tab, "h1"))
    ink = max(heading, key=lambda color: abs(_light(color) - _light(paper)))
    assert _contrast(ink, paper) > 10
    assert 0.02 < sum(n for color, n in heading.items() if _contrast(color, paper) > 4.5) / sum(heading.values()) < 0.5
    # Letters differ from each other: without any font, all of them would be the same box.
    assert tab.js(
        "(() => { const c = document.createElement('canvas').getContext('2d');"
        " c.font = getComputedStyle(document.body).font;"
        " return c.measureText('WWWW').width > 1.5 * c.measureText('iiii').width })()"
    )


@schemes
def test_the_bars_of_a_chart_are_painted_in_the_accent_colour(tab: Page, report: str, dark: bool) -> None:
    tab.open(report, width=NARROW, dark=dark)
    tab.js("document.querySelector('.chart').scrollIntoView({ block: 'start' })")
    accent = tab.js("getComputedStyle(document.querySelector('.chart .bar.now')).fill.match(/\\d+/g).map(Number)")
    bar = _box(tab, ".bar.now")

    painted = decode(tab.picture()).colors(*bar)

    assert max(painted, key=lambda color: painted[color]) == tuple(accent)


def _box(tab: Page, selector: str) -> list[float]:
    """Left, top, width and height in the window."""
    box = f"document.querySelector('{selector}').getBoundingClientRect()"
    return list(tab.js(f"(({{ x, y, width, height }}) => [x, y, width, height])({box})"))


def _light(color: Color) -> float:
    """Relative luminance, 0 to 1 (WCAG 2.2)."""
    parts = [value / 255 for value in color]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(a: Color, b: Color) -> float:
    dark, light = sorted((_light(a), _light(b)))
    return (light + 0.05) / (dark + 0.05)

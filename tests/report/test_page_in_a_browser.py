"""The report of real runs in a real browser: on a desk and on a phone, by day and by night, and without a mouse."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.browser.paint import box, colors, contrast, light, pixels
from tests.browser.plugin import NARROW, WIDE, OpenPage
from tests.report.conftest import Sampled

CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
UNFOLD = "document.querySelectorAll('details').forEach((fold) => { fold.open = true })"

sizes = pytest.mark.parametrize("width", [WIDE, NARROW])
schemes = pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])


@pytest.fixture(scope="module")
def report(sampled: Sampled, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the report of the sample's second week, as a file and nothing around it."""
    file = tmp_path_factory.mktemp("report") / "second.html"
    file.write_text(sampled.reports.pages["second", "html"], encoding="utf-8")
    return file.as_uri()


@sizes
@schemes
def test_the_page_opens_without_a_complaint_and_asks_for_nothing(
    open_page: OpenPage, report: str, width: int, dark: bool
) -> None:
    tab = open_page(report, width=width, dark=dark)

    assert tab.complaints == []
    assert tab.requested == [report]


@sizes
@pytest.mark.parametrize("unfolded", [False, True])
def test_nothing_is_wider_than_the_screen(open_page: OpenPage, report: str, width: int, unfolded: bool) -> None:
    tab = open_page(report, width=width)
    if unfolded:
        tab.js(UNFOLD)

    assert tab.js("document.scrollingElement.scrollWidth <= window.innerWidth") is True
    outside = (
        "[...document.querySelectorAll('main *')].filter((e) => e.checkVisibility() && !e.closest('.scroll table') "
        "&& e.getBoundingClientRect().right > window.innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert tab.js(outside) == []


def test_what_is_wider_than_its_box_can_be_scrolled_with_the_keyboard(open_page: OpenPage, report: str) -> None:
    tab = open_page(report, width=NARROW)
    scrolled = tab.js(
        "(() => { const wide = [...document.querySelectorAll('.scroll')].filter("
        "   (e) => e.checkVisibility() && !e.matches('.stacked') && e.scrollWidth > e.clientWidth);"
        " wide[0].focus();"
        " return [wide.length, wide.every((e) => e.tabIndex === 0 && e.getAttribute('aria-label'))] })()"
    )
    assert scrolled[0] > 3
    assert scrolled[1]

    tab.page.keyboard.press("ArrowRight")

    moved = "new Promise((done) => { const look = () => document.activeElement.scrollLeft > 0 ? done(true)"
    assert tab.js(f"{moved} : requestAnimationFrame(look); look() }})") is True


@sizes
@schemes
def test_every_text_stands_out_from_its_ground(open_page: OpenPage, report: str, width: int, dark: bool) -> None:
    tab = open_page(report, width=width, dark=dark)
    tab.js(UNFOLD)

    measured = tab.js(CONTRAST)

    assert measured["seen"] > 500
    assert measured["weak"] == []


@sizes
def test_nothing_on_the_page_keeps_people_out(open_page: OpenPage, report: str, width: int) -> None:
    tab = open_page(report, width=width)
    tab.js(UNFOLD)
    assert tab.barriers() == []


def test_the_keyboard_reaches_everything_in_reading_order_and_shows_where_it_is(
    open_page: OpenPage, report: str
) -> None:
    tab = open_page(report, width=WIDE)
    expected = tab.js(
        "[...document.querySelectorAll('a[href], summary, [tabindex=\"0\"]')].filter((e) => e.checkVisibility())"
        ".map((e, n) => { e.dataset.stop = n; return n })"
    )
    reached: list[int] = []
    for _ in expected:
        tab.page.keyboard.press("Tab")
        stop: dict[str, Any] = tab.js(
            "(() => { const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();"
            " return { stop: Number(e.dataset.stop), outline: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth),"
            " seen: r.bottom > 0 && r.top < innerHeight } })()"
        )
        assert stop["outline"] >= 2, stop
        assert stop["seen"], stop
        reached.append(stop["stop"])

    assert reached == expected


def test_the_first_stop_skips_to_the_report(open_page: OpenPage, report: str) -> None:
    tab = open_page(report, width=NARROW)
    tab.page.keyboard.press("Tab")
    assert tab.js("document.activeElement.textContent") == "Skip to the report"
    assert tab.js("document.activeElement.getBoundingClientRect().top >= 0") is True

    tab.page.keyboard.press("Enter")

    assert tab.js("location.hash + ' ' + document.activeElement.id") == "#main main"


def test_a_fold_opens_with_the_keyboard(open_page: OpenPage, report: str) -> None:
    tab = open_page(report, width=WIDE)
    tab.js("document.querySelector('summary').focus()")
    tab.page.keyboard.press("Enter")
    assert tab.js("document.querySelector('details').open") is True


def test_a_failed_record_is_found_from_its_cause(open_page: OpenPage, report: str) -> None:
    tab = open_page(report, width=WIDE)
    tab.js("document.querySelector('td a[href^=\"#record-\"]').click()")
    assert tab.js("document.querySelector('tr:target').getBoundingClientRect().top < innerHeight") is True


def test_headings_leave_no_level_out(open_page: OpenPage, report: str) -> None:
    tab = open_page(report, width=WIDE)
    levels = tab.js("[...document.querySelectorAll('h1, h2, h3, h4')].map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))


def test_tables_stay_tables_to_those_who_listen(open_page: OpenPage, report: str) -> None:
    tab = open_page(report, width=NARROW)
    # The browser's own tree: Playwright's roles do not see that CSS has taken a table's away.
    tree = tab.page.context.new_cdp_session(tab.page).send("Accessibility.getFullAXTree")["nodes"]
    roles = [node.get("role", {}).get("value") for node in tree if not node.get("ignored")]
    names = [node["name"]["value"] for node in tree if node.get("role", {}).get("value") == "table" and "name" in node]
    assert "Rows and money per component" in names
    assert roles.count("rowheader") > 50
    assert roles.count("main") == roles.count("navigation") == roles.count("banner") == 1


def test_on_paper_there_is_no_navigation_and_no_scrolling(open_page: OpenPage, report: str) -> None:
    tab = open_page(report, width=WIDE)
    tab.page.emulate_media(media="print")
    assert tab.js("getComputedStyle(document.querySelector('.contents')).display") == "none"
    assert tab.js("[...document.querySelectorAll('.scroll')].every((e) => getComputedStyle(e).overflowX === 'visible')")


@schemes
def test_the_page_is_really_painted(open_page: OpenPage, report: str, dark: bool) -> None:
    tab = open_page(report, width=NARROW, dark=dark)
    picture = pixels(tab.page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": NARROW, "height": 1_600}))

    paper = max(colors(picture, 2, 2, 1, 1))
    assert (light(paper) < 0.1) if dark else (light(paper) > 0.85)
    assert picture.width == NARROW
    assert len(colors(picture, 0, 0, NARROW, picture.height)) > 200
    # Letters: the heading's box holds its ground and, well apart from it, its ink.
    heading = colors(picture, *box(tab, "h1"))
    ink = max(heading, key=lambda color: abs(light(color) - light(paper)))
    assert contrast(ink, paper) > 10
    assert 0.02 < sum(n for color, n in heading.items() if contrast(color, paper) > 4.5) / sum(heading.values()) < 0.5
    # Letters differ from each other: without any font, all of them would be the same box.
    assert tab.js(
        "(() => { const c = document.createElement('canvas').getContext('2d');"
        " c.font = getComputedStyle(document.body).font;"
        " return c.measureText('WWWW').width > 1.5 * c.measureText('iiii').width })()"
    )


@schemes
def test_the_bars_of_a_chart_are_painted_in_the_accent_colour(open_page: OpenPage, report: str, dark: bool) -> None:
    tab = open_page(report, width=NARROW, dark=dark)
    tab.js("document.querySelector('.chart').scrollIntoView({ block: 'start' })")
    accent = tab.js("getComputedStyle(document.querySelector('.chart .bar.now')).fill.match(/\\d+/g).map(Number)")
    bar = box(tab, ".bar.now")

    painted = colors(pixels(tab.page.screenshot()), *bar)

    assert max(painted, key=lambda color: painted[color]) == tuple(accent)

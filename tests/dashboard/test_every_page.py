"""Every page in a real browser, before deployments in every state: it fits a phone and a desk, by day and by night,
nobody is kept out, and the console stays silent.

`SCREENSHOTS=folder` keeps what was painted, for somebody to look at.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest

from hybrid_sync.dashboard.identity import SignIn
from hybrid_sync.dashboard.routes import Dashboard
from hybrid_sync.services.roles import Role
from tests.browser.plugin import NARROW, WIDE, OpenPage, Visit
from tests.dashboard.conftest import Door
from tests.dashboard.scenes import AT_WORK, FIRST, LONG, SCENES, WEEKLY, Now
from tests.dashboard.served import enter, served
from tests.views.conftest import Looked

Store = psycopg.Connection[Any]
SCREENSHOTS = os.environ.get("SCREENSHOTS", "")
EVERYWHERE = ("", "/entities", "/entities/payments", "/levels", "/performance", "/usage", "/audit", "/records")
OF_A_RUN = (f"/runs/{WEEKLY}", f"/act/rollback?of={WEEKLY}", f"/act/run-again?of={WEEKLY}", f"/act/cancel?of={WEEKLY}")
ACTS = ("/act/hold?of=payments", "/act/release?of=offices", "/act/resync?of=payments", "/act/verify?of=payments",
        "/act/retry?of=payments/bad_json", "/act/run?of=weekly", "/act/resume")  # fmt: skip
PAGES = {
    "new": ("", "/entities/payments"),
    "sound": ("", f"/runs/{FIRST}"),
    "bad-night": ("", f"/runs/{WEEKLY}", "/audit", "/levels", f"/entities/{LONG}", "/usage", f"/runs/{AT_WORK}",
                  f"/act/rollback?of={WEEKLY}", f"/performance?run={WEEKLY}", "/performance/advice",
                  "/records?ref=payments:9007199254740000", "/nowhere"),
    "crowded": ("", f"/runs/{WEEKLY}"),
}  # fmt: skip
IN_THE_DARK = PAGES["bad-night"][:3]
MORE = {
    "new": EVERYWHERE,
    "sound": (*EVERYWHERE, "/records?ref=payments:7"),
    "bad-night": (
        *EVERYWHERE, *OF_A_RUN, *ACTS, "/entities/offices?did=held", "/records?ref=no%20key", "/runs/none", "/sign-in",
        "/audit?who=ann",
    ),
    "crowded": ("/entities", "/levels", *OF_A_RUN[:2]),
}  # fmt: skip
"""What is painted besides for somebody who looks."""
FULLEST = "bad-night"
"""Whose pages have every part that there is: these are looked at by axe-core, some of them in the dark, too."""


@pytest.fixture
def looked(recorded: str) -> Looked:
    return Now(recorded)


@pytest.mark.parametrize("scene", SCENES)
def test_every_page_fits_every_screen_by_day_and_by_night(
    scene: str, store: Store, looked: Looked, open_page: OpenPage
) -> None:
    SCENES[scene](store, looked)
    wrong: list[str] = []
    with served(Dashboard(looked, cast(SignIn, Door()))) as address:  # type: ignore[arg-type]
        for dark in (False, True):
            some = IN_THE_DARK if dark and scene == FULLEST else () if dark else PAGES[scene]
            paths = dict.fromkeys((*PAGES[scene], *MORE[scene]) if SCREENSHOTS else some)
            visit = open_page("about:blank", dark=dark)
            enter(visit, address, Role.operator)
            for path in paths:
                wrong += [f"{path}: {one}" for one in faults(visit, f"{address}{path}", scene, path, dark=dark)]
    assert wrong == []


def faults(visit: Visit, url: str, scene: str, path: str, *, dark: bool) -> list[str]:
    """What is wrong with a page at both widths."""
    visit.complaints.clear()
    answer = visit.page.goto(url)
    assert answer is not None
    found = []
    for width in (NARROW, WIDE):
        visit.page.set_viewport_size({"width": width, "height": 900})
        if (needed := visit.js("document.documentElement.scrollWidth")) > width:
            found.append(f"needs {needed} of {width}, {visit.js(WIDER)}")
        if SCREENSHOTS:
            name = "".join(one if one.isalnum() else "-" for one in path.strip("/")) or "overview"
            place = Path(SCREENSHOTS) / f"{scene}.{name[:60]}.{width}.{'dark' if dark else 'light'}.png"
            visit.page.screenshot(path=place, full_page=True)
    # A browser says, too, that a page is a 404, and that one was left while it asked for news.
    known = ["net::ERR_ABORTED", *([] if answer.ok else ["Failed to load"])]
    barriers = visit.barriers() if scene == FULLEST else []
    return [*found, *barriers, *(one for one in visit.complaints if not any(word in one for word in known))]


WIDER = """[...document.querySelectorAll('main *, header *')]
  .filter(one => one.getBoundingClientRect().right > innerWidth && !one.closest('.scroll, .weeks'))
  .slice(0, 3).map(one => one.outerHTML.slice(0, 90)).join(' | ')"""

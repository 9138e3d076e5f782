"""A real browser for every test that asks for `open_page`: Playwright drives any Chrome or Chromium of this machine.

Nothing is downloaded: the browser is the one that $CHROMIUM names, else the first on PATH (Debian's in CI). Without
any, a developer sees these tests deselected and counted; in CI they fail, so that nobody misses them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:  # every session loads this plugin; only one that opens a page needs to load Playwright
    from playwright.sync_api import Browser, Page, Request

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
APPLICATIONS = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",)
REMEDY = "install chromium (Debian: apt-get install chromium), or name a Chrome with CHROMIUM=/path/to/it"
PATIENCE = 60_000
"""Milliseconds that one answer may take; a machine under load is slow, a dead browser silent."""
WIDE, NARROW = 1280, 390
"""Widths of a desk's window and of a phone's."""

_left_out = pytest.StashKey[int]()


@dataclass(frozen=True)
class Visit:
    """A page that was opened, with what it has asked for and complained of since."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """What the console shows: errors, warnings, refused resources, exceptions; and requests that failed."""
    requested: list[str] = field(default_factory=list)
    """Every address that the page asked for."""

    def js(self, expression: str) -> Any:
        """The value of an expression or of a function, awaited where it is a promise."""
        return self.page.evaluate(expression)

    def barriers(self) -> list[str]:
        """What axe-core finds that keeps people out: rules of impact `serious` or `critical`, with the elements."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [
            f"{rule['id']}: {node['html'][:100]}"
            for rule in found
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"]
        ]


class OpenPage(Protocol):
    """Opens an address in a window of that size, in a session (cookies, storage) that no other visit shares."""

    def __call__(self, url: str, *, width: int = WIDE, height: int = 900, dark: bool = False) -> Visit: ...


def find() -> str | None:
    """$CHROMIUM, else the first Chrome or Chromium on PATH or among the applications; None without any."""
    named = os.environ.get("CHROMIUM")
    candidates = [named] if named else [*NAMES, *APPLICATIONS]
    return next((found for name in candidates if (found := shutil.which(name))), None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if find() is not None or os.environ.get("CI"):
        return
    pages = [item for item in items if "browser" in getattr(item, "fixturenames", ())]
    if pages:
        config.hook.pytest_deselected(items=pages)
        config.stash[_left_out] = len(pages)
        items[:] = [item for item in items if item not in pages]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if left_out := config.stash.get(_left_out, 0):
        terminalreporter.section("no browser")
        terminalreporter.write_line(f"{left_out} tests of pages did not run: {REMEDY}.")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One headless browser for a file of tests: Playwright's event loop must not outlive it into other files."""
    from playwright.sync_api import sync_playwright

    executable = find()
    if executable is None:
        pytest.fail(f"There is no browser: {REMEDY}.")
    with sync_playwright() as playwright:
        # Containers run as root and have no user namespaces, which Chromium's sandbox needs.
        started = playwright.chromium.launch(executable_path=executable, chromium_sandbox=False, timeout=PATIENCE)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens pages; their windows close with the test."""
    contexts = []

    def open_one(url: str, *, width: int = WIDE, height: int = 900, dark: bool = False) -> Visit:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            # Without motion, what is measured right after a jump is where it ends.
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        visit = Visit(context.new_page())
        _listen(visit)
        visit.page.goto(url)
        visit.js("document.fonts.ready.then(() => true)")
        return visit

    yield open_one
    for context in contexts:
        context.close()


def _listen(visit: Visit) -> None:
    def failed(request: Request) -> None:
        visit.complaints.append(f"{request.url}: {request.failure}")

    visit.page.on("console", lambda message: visit.complaints.append(message.text))
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on("requestfailed", failed)
    visit.page.on("request", lambda request: visit.requested.append(request.url))

"""One headless browser for all tests of pages: any Chrome or Chromium, or the one that $CHROMIUM names.

Without any, a developer sees these tests deselected and named; in CI they fail, so that nobody misses them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.browser import chromium
from tests.report.browser.chromium import Browser, Page
from tests.report.conftest import Sampled

HERE = Path(__file__).parent
REMEDY = "install chromium (Debian: apt-get install chromium), or name a Chrome with CHROMIUM=/path/to/it"
_left_out = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if chromium.find() is not None or os.environ.get("CI"):
        return
    pages = [item for item in items if HERE in item.path.parents]
    if pages:
        config.hook.pytest_deselected(items=pages)
        config.stash[_left_out] = len(pages)
        items[:] = [item for item in items if HERE not in item.path.parents]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if left_out := config.stash.get(_left_out, 0):
        terminalreporter.section("no browser")
        terminalreporter.write_line(f"{left_out} tests of pages did not run: {REMEDY}.")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    executable = chromium.find()
    if executable is None:
        pytest.fail(f"There is no browser: {REMEDY}.")
    with chromium.browsing(executable, tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="session")
def tab(browser: Browser) -> Page:
    return chromium.new_page(browser)


@pytest.fixture(scope="session")
def report(sampled: Sampled, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the report of the sample's second week, as a file and nothing around it."""
    file = tmp_path_factory.mktemp("report") / "second.html"
    file.write_text(sampled.reports.pages["second", "html"], encoding="utf-8")
    return file.as_uri()

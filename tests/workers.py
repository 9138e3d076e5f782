"""Which worker plays which files: all that need the deployed stack go to one, and what takes longest begins first.

Two workers with a stack each would deploy it twice; and a file that takes minutes, begun last, leaves the other worker
with nothing to do.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

STACK = "the files of the deployed stack"
ROOT = Path(__file__).parents[1]
SECONDS = {
    "tests/dashboard/test_in_a_browser.py": 60,
    "tests/drill/test_drill.py": 15,
    "tests/drills/test_disasters.py": 20,
    "tests/e2e/test_demo.py": 70,
    "tests/engine/test_by_rest.py": 15,
    "tests/engine/test_versions.py": 25,
    "tests/faults/test_faults.py": 45,
    "tests/integration/test_flow.py": 25,
    "tests/rollbacks/test_rollbacks.py": 15,
    "tests/stack/test_built.py": 25,
    "tests/stack/test_fuzz.py": 20,
    "tests/stack/test_here.py": 20,
    "tests/stack/test_operators.py": 30,
    "tests/stack/test_trace.py": 15,
    "tests/stack/test_webhooks.py": 30,
}
"""What files of long tests take on two free processors, about: only the order follows from it."""
ENGINE, USUAL = 0.7, 0.15
"""Seconds of a test in any other file: in `tests/engine` each makes two databases and syncs them."""


class Shares(LoadFileScheduling):
    """Files as `--dist=loadfile` hands them out, one after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return share(nodeid.partition("::")[0])


@functools.cache
def share(file: str) -> str:
    """What a file is handed out with: itself, or all others that need the deployed stack."""
    return STACK if re.search(r"\bdeployed: Stack\b", (ROOT / file).read_text("utf-8")) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Shares | None:
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # the workers have ordered them
    return Shares(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not hasattr(config, "workerinput"):
        return
    files = Counter(_file(item) for item in items)
    seconds: Counter[str] = Counter()
    for file, tests in files.items():
        usual = ENGINE if file.startswith("tests/engine/") else USUAL
        seconds[share(file)] += SECONDS.get(file, tests * usual)
    items.sort(key=lambda item: -seconds[share(_file(item))])


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]

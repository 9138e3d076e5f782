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
SECONDS: dict[str, int] = {}
"""What files with long tests take on two free processors. Only the order follows from it: it may be wrong."""
USUAL = 0.2
"""Seconds of a test in any other file."""


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
        seconds[share(file)] += SECONDS.get(file, tests * USUAL)
    items.sort(key=lambda item: -seconds[share(_file(item))])


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]

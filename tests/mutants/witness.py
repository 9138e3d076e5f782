"""A pytest plugin that watches a trial: it makes sure whose engine is tested, and writes down how each test ended."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

import hybrid_sync

ENGINE = "MUTANT_ENGINE"
RESULTS = "MUTANT_RESULTS"

_results: dict[str, dict[str, str]] = {}


def pytest_configure() -> None:
    """Stop at once unless the copy shadows the installed engine: a trial of the real one would prove nothing."""
    wanted = Path(os.environ[ENGINE]).resolve()
    found = Path(str(hybrid_sync.__file__)).resolve()
    if not found.is_relative_to(wanted):
        pytest.exit(f"The engine under test is {found.parent}, not the copy in {wanted}.", returncode=3)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    result = _results.setdefault(item.nodeid, {})
    result[call.when] = report.outcome
    if call.excinfo is not None:
        result.setdefault("error", call.excinfo.type.__name__)
    return report


def pytest_sessionfinish() -> None:
    Path(os.environ[RESULTS]).write_text(json.dumps(_results), encoding="utf-8")

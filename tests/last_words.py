"""A test that fails on the deployed stack shows what its functions have logged of failures: codes and places only.

Whoever reads a test run elsewhere has nothing else: the stack is gone by then.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from hybrid_sync_cli.stack import Stack

MOST = 30
"""Lines that one failure shows."""
WORDS = ("raised_at", "Traceback", '"level":"ERROR"', "errorType")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and "deployed" in getattr(item, "fixturenames", ()):
        report.sections.append(("what the stack's functions logged last", "\n".join(_last(MOST))))
    return report


def _last(most: int) -> list[str]:
    found: list[tuple[int, str]] = []
    try:
        logs = Stack.load().client("logs")
        for group in logs.describe_log_groups()["logGroups"]:
            name = group["logGroupName"]
            events: list[Any] = logs.filter_log_events(logGroupName=name, limit=10_000)["events"]
            failed = (event for event in events if any(word in event["message"] for word in WORDS))
            found += [(event["timestamp"], f"{name}: {event['message'].strip()[:1_500]}") for event in failed]
    except Exception as error:  # noqa: BLE001 - the test's own failure must be shown whatever happens here
        return [f"The stack's logs cannot be read ({type(error).__name__})."]
    return [line for _, line in sorted(found)[-most:]]

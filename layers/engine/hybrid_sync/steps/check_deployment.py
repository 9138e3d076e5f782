"""Check deployment: look at all that a run depends on and report what is wrong at once; only the result is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TypeVar

from hybrid_sync.blame import Side
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.check.context import Limits, ProbeContext
from hybrid_sync.check.model import CheckOutcome, Finding, StartedCheck, error, in_order, outcome
from hybrid_sync.check.probe import look, table
from hybrid_sync.check.verdicts import record_verdict
from hybrid_sync.errors import SyncError
from hybrid_sync.postgres import Connection
from hybrid_sync.world import World

T = TypeVar("T")


def check_deployment(world: World, started: StartedCheck, limits: Limits | None = None) -> CheckOutcome:
    """Report everything that stands in the way of a run, as findings; safe to repeat.

    What cannot be reached, or cannot be stored, is a finding as well.
    """
    found: list[Finding] = []
    catalog = _tried(found, lambda: world.catalog)
    ways: Mapping[Side, Callable[[], Connection]] = {"legacy": world.connect_legacy, "target": world.connect_target}
    with ExitStack() as opened:
        reached = {side: _tried(found, connect) for side, connect in ways.items()}
        connections = {side: opened.enter_context(one) for side, one in reached.items() if one is not None}
        context = ProbeContext(
            check_id=started.check_id, catalog=catalog or Catalog({}), connections=connections, now=world.now,
            parts=world.parts, workers=world.workers, disk_gb=started.request.disk_gb,
            limits=limits or Limits(),
        )  # fmt: skip
        found += look(context, table())
        report = _tried(found, lambda: world.reports.write(started.check_id, _document(started, found)), "not_stored")
        if catalog is not None and "target" in connections:
            checked = outcome(started.check_id, in_order(found), report or "")
            _tried(found, lambda: record_verdict(connections["target"], catalog.hash, checked), "not_stored")
    return outcome(started.check_id, in_order(found), report or "")


def _tried(found: list[Finding], work: Callable[[], T], code: str = "") -> T | None:
    """The result of the work, or None and a finding that says why."""
    try:
        return work()
    except SyncError as refused:
        found.append(error(code or refused.code, refused.message, refused.remedy))
        return None


def _document(started: StartedCheck, found: list[Finding]) -> dict[str, object]:
    """The report: all findings, and how the check ended."""
    whole = outcome(started.check_id, in_order(found), "")
    checked = {**whole.model_dump(mode="json", exclude={"left_out", "report"}), "findings": [
        finding.model_dump(mode="json") for finding in in_order(found)
    ]}  # fmt: skip
    return {**checked, "status": "succeeded" if whole.passed else "failed", "profile": "check"}

"""Run summaries made by hand, for what is drawn from them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hybrid_sync.recorded.conservation import Conservation
from hybrid_sync.recorded.money import MoneyLine
from hybrid_sync.report.analysis import CauseDetail, MissedCause, MissedRecord, causes
from hybrid_sync.report.model import Counts, EntitySummary, Failure, PastRun, RunSummary, WorkerPeak

BEGAN = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)


def conservation(**changed: Any) -> Conservation:
    equation: dict[str, Any] = {
        "legacy": 17_229, "current": 17_226, "stale": 1, "absent": 2, "excluded": 0, "in_flight": 0,
        "target": 17_240, "pending_deletes": 3, "missing": 0, "native": 10, "ok": True,
    }  # fmt: skip
    return Conservation(**{**equation, **changed})


def line(column: str, currency: str, legacy: str, *, target: str | None = None, status: str | None = None) -> MoneyLine:
    other = legacy if target is None else target
    return MoneyLine(
        column=column, currency=currency, status=status, legacy=Decimal(legacy), current=Decimal(legacy),
        stale=Decimal(0), absent=Decimal(0), excluded=Decimal(0), target=Decimal(other),
        missing=Decimal(legacy) - Decimal(other), equal=legacy == other, agrees=legacy == other, rows=12,
    )  # fmt: skip


def entity(name: str = "payments", **changed: Any) -> EntitySummary:
    """A verified component with money."""
    facts: dict[str, Any] = {
        "entity": name, "title": name, "wave": 0, "status": "verified", "detection": "fence",
        "detection_reason": None, "counts": Counts(read=412, inserted=90, updated=300, unchanged=19, failed=3),
        "batches_planned": 2, "batches_done": 2, "keys_planned": 412, "conservation": conservation(),
        "money": (line("total", "USD", "8560000.00", status="paid"), line("total", "JPY", "1200", status="paid")),
        "headline": "total", "links_made": 4, "links_pending": 1, "fence_advanced": True,
        "complete_until": BEGAN - timedelta(seconds=1), "seconds": 2.0, "rows_per_second": 206.0, "failure": None,
    }  # fmt: skip
    return EntitySummary(**{**facts, **changed})


def missed_cause(**changed: Any) -> MissedCause:
    facts: dict[str, Any] = {
        "entity": "payments", "title": "payments", "reason": "missing_parent", "records": 3, "absent": 2, "rows": 3,
        "open_rows": 3, "new": 1, "escalated": 1, "accepted": 0,
        "retries": 4, "share": 3 / 17_229, "meaning": "Its parent is not there.",
        "remedy": "Add the code to `values`, or repair the row.", "retryable": True, "keys": ("payment:7", "payment:8"),
        "oldest": BEGAN - timedelta(days=7),
        "details": (CauseDetail(source="payment", column="office_id", parent="offices", records=3),),
    }  # fmt: skip
    return MissedCause(**{**facts, **changed})


def record(key: int, **changed: Any) -> MissedRecord:
    facts: dict[str, Any] = {
        "entity": "payments", "source": "payment", "key": str(key), "reason": "missing_parent", "column": "office_id",
        "status": "open", "present": False, "attempts": 1, "first_run": "weekly-1",
        "first_seen": BEGAN - timedelta(days=7), "waits_for": "offices/office:12",
    }  # fmt: skip
    return MissedRecord(**{**facts, **changed})


def past(place: int, **changed: Any) -> PastRun:
    facts: dict[str, Any] = {
        "run_id": f"weekly-{place}", "status": "succeeded", "started_at": BEGAN - timedelta(days=7 * (3 - place)),
        "seconds": 5.0 + place, "read": 1_000 * place, "written": 900 * place, "failed": 3, "due": 17_000,
        "current": 16_990, "adds_up": "explained", "missed": {"missing_parent": place + 1},
    }  # fmt: skip
    return PastRun(**{**facts, **changed})


def run(**changed: Any) -> RunSummary:
    """A weekly run with two components, one cause, two runs before it."""
    missed = changed.pop("missed", (missed_cause(),))
    before = changed.pop("past", (past(1), past(2)))
    facts: dict[str, Any] = {
        "run_id": "weekly-3", "profile": "weekly", "trigger": "schedule", "priority": "normal", "status": "succeeded",
        "started_at": BEGAN, "finished_at": BEGAN + timedelta(seconds=8), "seconds": 8.0,
        "entities": (entity(), entity("offices", money=(), headline=None, conservation=conservation(native=0))),
        "missed": missed, "causes": causes(missed, [p.missed for p in before]), "records": (record(7), record(8)),
        "past": before, "not_looked_at": ("Not part of this run: jaws.",),
        "workers": (WorkerPeak(function="sync_batch", workers=2, peak_rss_mib=120.5, memory_mib=512),), "failures": (),
    }  # fmt: skip
    return RunSummary(**{**facts, **changed})


def failed_entity(name: str, text: str) -> EntitySummary:
    return entity(
        name, status="failed", conservation=None, money=(), fence_advanced=False, complete_until=None,
        failure=Failure(code="structure_mismatch", text=text),
    )  # fmt: skip

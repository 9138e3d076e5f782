"""Hand-written run records, and the small catalog that they belong to."""

from __future__ import annotations

from decimal import Decimal
from importlib import resources
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import BatchResult
from hybrid_sync.report.summary import summarise

CATALOG = Catalog(
    {
        "payments": Entity.model_validate(
            {
                "entity": "payments",
                "component": "Payments",
                "target": "payments",
                "sources": {
                    "payment": {
                        "from": "dispatch_payment p",
                        "key": {"legacy_id": "p.id"},
                        "columns": {"total": "p.total", "fee": "p.fee", "currency": "p.currency"},
                    }
                },
                "money": [
                    {"column": "total", "currency": "currency", "headline": True},
                    {"column": "fee", "currency": "currency"},
                ],
            }
        ),
        "offices": Entity.model_validate(
            {
                "entity": "offices",
                "target": "offices",
                "sources": {"office": {"from": "dispatch_office o", "key": {"legacy_id": "o.id"}}},
            }
        ),
    }
)

EQUATION = {
    "legacy": 100, "current": 87, "stale": 1, "absent": 2, "excluded": 10, "in_flight": 0,
    "target": 95, "pending_deletes": 3, "missing": 0, "native": 4, "ok": True,
}  # fmt: skip


def create_schema(connection: psycopg.Connection[Any]) -> None:
    """The engine's tables, from the migrations that a deployment applies."""
    folder = resources.files("hybrid_sync.schema") / "migrations"
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".sql"):
            connection.execute(file.read_text(encoding="utf-8").encode())


def add_run(connection: psycopg.Connection[Any], run_id: str, status: str = "succeeded") -> None:
    """A run of 90 seconds that ended with `status`, or is still at work."""
    connection.execute(
        """
        insert into hybrid_sync.run (run_id, profile, trigger, priority, request, status, fence, catalog_hash,
                                     deadline_at, started_at, finished_at)
        values (%(id)s, 'weekly', 'schedule', 'normal', '{}', %(status)s, '{}', 'hash', '2026-01-04 05:00Z',
                '2026-01-04 01:00Z', case when %(status)s = 'running' then null
                                     else timestamptz '2026-01-04 01:01:30Z' end)
        """,
        {"id": run_id, "status": status},
    )


def add_entity(
    connection: psycopg.Connection[Any],
    run_id: str,
    entity: str,
    *,
    status: str = "verified",
    wave: int = 0,
    planned: int | None = 0,
    conservation: dict[str, Any] | None = None,
    money: list[dict[str, Any]] | None = None,
    failure: dict[str, str] | None = None,
) -> None:
    """One entity of the run, planned one second after the run's start."""
    connection.execute(
        """
        insert into hybrid_sync.run_entity (run_id, entity, wave, status, detection, detection_reason,
          batches_planned, keys_planned, conservation, money, links, failure, planned_at, fence_advanced)
        values (%s, %s, %s, %s, 'fence', 'fence of the last run', %s, 10, %s, %s,
                '{"linked": 4, "pending": 1}', %s, '2026-01-04 01:00:01Z', %s)
        """,
        (
            run_id,
            entity,
            wave,
            status,
            planned,
            Jsonb(conservation) if conservation is not None else None,
            Jsonb(money) if money is not None else None,
            Jsonb(failure) if failure is not None else None,
            status == "verified",
        ),
    )


def add_batch(
    connection: psycopg.Connection[Any], run_id: str, entity: str, lo: int, result: BatchResult, done: str
) -> None:
    """A batch of 500 keys from `lo`, committed at `done`."""
    connection.execute(
        """
        insert into hybrid_sync.batch_done
          (batch_id, run_id, entity, source, lo, hi, result, seconds, done_at)
        values (gen_random_uuid(), %s, %s, 'payment', %s, %s, %s, 1.5, %s)
        """,
        (run_id, entity, lo, lo + 500, Jsonb(result.model_dump()), done),
    )


def add_failed(
    connection: psycopg.Connection[Any],
    key: int,
    reason: str,
    *,
    entity: str = "payments",
    first_run: str = "r1",
    status: str = "open",
    present: bool = False,
    seen: str | None = None,
) -> None:
    """One failed record, last seen by the run that saw it first; now, unless told when."""
    connection.execute(
        """
        insert into hybrid_sync.failed_record
          (entity, source, key, reason, first_run, last_run, status, present, first_seen)
        values (%s, 'payment', array[%s::int8], %s, %s, %s, %s, %s, coalesce(%s::timestamptz, clock_timestamp()))
        """,
        (entity, key, reason, first_run, first_run, status, present, seen),
    )


def money_line(column: str, currency: str, amount: str, *, target: str | None = None) -> dict[str, Any]:
    """A line of run_entity.money; unequal when the target has another amount."""
    other = amount if target is None else target
    missing = format(Decimal(amount) - Decimal(other), "f")
    return {
        "column": column, "currency": currency, "status": None, "legacy": amount, "current": amount, "stale": "0",
        "absent": "0", "excluded": "0", "target": other, "missing": missing, "rows": 3, "stale_rows": 0,
        "absent_rows": 0, "excluded_rows": 0, "equal": amount == other, "agrees": amount == other,
    }  # fmt: skip


def keep_report(connection: psycopg.Connection[Any], run_id: str) -> None:
    """End the run as `report run` does: with its report."""
    document = summarise(connection, run_id, CATALOG).model_dump(mode="json")
    connection.execute("update hybrid_sync.run set report = %s where run_id = %s", (Jsonb(document), run_id))


def move_run(connection: psycopg.Connection[Any], run_id: str, days: int) -> None:
    """Let the run have happened so many days later."""
    connection.execute(
        "update hybrid_sync.run set started_at = started_at + make_interval(days => %(days)s),"
        " finished_at = finished_at + make_interval(days => %(days)s) where run_id = %(run)s",
        {"run": run_id, "days": days},
    )

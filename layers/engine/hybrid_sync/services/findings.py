"""What a run's comparison has found: by entity, and by key and column where something differs still."""

from __future__ import annotations

from typing import Any, LiteralString

from psycopg import sql

from hybrid_sync.keys import records_after
from hybrid_sync.postgres import Question, answer
from hybrid_sync.report.summary import recall
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages import PAGE_ROWS
from hybrid_sync.services.messages.records import Findings, FindingsAsked, Position
from hybrid_sync.session import dicts


def findings(desk: Desk, asked: FindingsAsked, _: str) -> Findings:
    """What differs still, and the failed rows that were therefore not compared; RunNotFound."""
    with at_target(desk) as target:
        summary = recall(target, asked.run_id, desk.catalog)
        checked = answer(target, dicts(_CHECKED, {"run": asked.run_id}))
        left = answer(target, _page(_LEFT, asked.run_id, asked.differences_after))
        failed = answer(target, _page(_FAILED, asked.run_id, asked.failed_after))
    return Findings(
        summary=summary.model_dump(mode="json"), checked=tuple(checked), differences=tuple(left),
        failed=tuple(failed), more=PAGE_ROWS in (len(left), len(failed)),
    )  # fmt: skip


def _page(query: sql.SQL, run_id: str, after: Position | None) -> Question[list[dict[str, Any]]]:
    return dicts(query.format(run=run_id, behind=records_after(after, "f"), limit=PAGE_ROWS), None)


_CHECKED: LiteralString = """
select entity, (reconcile->>'rows_checked')::bigint as rows, (reconcile->>'in_flight')::bigint as in_flight,
       (reconcile->>'differing')::bigint as differing, (reconcile->>'healed')::bigint as healed,
       (reconcile->>'persisted')::bigint as persist, (reconcile->>'drift')::bigint as native,
       (reconcile->>'silent')::bigint as silent, (reconcile->>'fence_missed')::bigint as fence_missed,
       (reconcile->>'gone')::bigint as gone, (reconcile->>'wrong_ids')::bigint as wrong_ids
from hybrid_sync.run_entity where run_id = %(run)s order by wave, entity
"""
_LEFT = sql.SQL("""
select f.entity, f.source, f.key, f.kind, f.columns, f.origin, f.state from hybrid_sync.difference f
where f.run_id = {run} and f.state in ('confirmed', 'persists') and {behind}
order by f.entity, f.source, f.key limit {limit}
""")
_FAILED = sql.SQL("""
select f.entity, f.source, f.key, f.reason, f.column_name, f.constraint_name, f.present, f.status
from hybrid_sync.failed_record f join hybrid_sync.run_entity e on e.entity = f.entity and e.run_id = {run}
where f.status <> 'resolved' and {behind}
order by f.entity, f.source, f.key limit {limit}
""")

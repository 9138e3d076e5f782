"""What a run's comparison has found: by entity, and by key and column where something differs still."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

from hybrid_sync.contracts import Key, Message
from hybrid_sync.postgres import answer
from hybrid_sync.report.summary import recall
from hybrid_sync.services.desk import PAGE_ROWS, Asked, Desk, at_target
from hybrid_sync.session import dicts

Place = tuple[str, str, Key]
"""Entity, source and key of a list's last row."""


class FindingsAsked(Asked):
    """`differences_after`, `failed_after`: where the page before ended."""

    run_id: str
    differences_after: Place | None = None
    failed_after: Place | None = None


class Findings(Message):
    """A page of both lists; the run and its entities come with each, and `more` says that rows are left."""

    summary: dict[str, Any]
    checked: tuple[dict[str, Any], ...]
    differences: tuple[dict[str, Any], ...]
    failed: tuple[dict[str, Any], ...]
    more: bool


def findings(desk: Desk, asked: FindingsAsked, _: str) -> Findings:
    """What differs still, and the failed rows that were therefore not compared; RunNotFound."""
    with at_target(desk) as target:
        summary = recall(target, asked.run_id, desk.catalog)
        checked = answer(target, dicts(_CHECKED, {"run": asked.run_id}))
        left = answer(target, dicts(_LEFT, _page(asked.run_id, asked.differences_after)))
        failed = answer(target, dicts(_FAILED, _page(asked.run_id, asked.failed_after)))
    return Findings(
        summary=summary.model_dump(mode="json"), checked=tuple(checked), differences=tuple(left),
        failed=tuple(failed), more=PAGE_ROWS in (len(left), len(failed)),
    )  # fmt: skip


def place_of(rows: Sequence[dict[str, Any]]) -> Place | None:
    """Where a page of them ended."""
    return (rows[-1]["entity"], rows[-1]["source"], tuple(rows[-1]["key"])) if rows else None


def _page(run_id: str, after: Place | None) -> dict[str, Any]:
    entity, source, key = after or (None, None, None)
    return {
        "run": run_id,
        "entity": entity,
        "source": source,
        "key": None if key is None else list(key),
        "limit": PAGE_ROWS,
    }


_CHECKED: LiteralString = """
select entity, (reconcile->>'rows_checked')::bigint as rows, (reconcile->>'in_flight')::bigint as in_flight,
       (reconcile->>'differing')::bigint as differing, (reconcile->>'healed')::bigint as healed,
       (reconcile->>'persisted')::bigint as persist, (reconcile->>'drift')::bigint as native,
       (reconcile->>'silent')::bigint as silent, (reconcile->>'fence_missed')::bigint as fence_missed,
       (reconcile->>'gone')::bigint as gone, (reconcile->>'wrong_ids')::bigint as wrong_ids
from hybrid_sync.run_entity where run_id = %(run)s order by wave, entity
"""
_LEFT: LiteralString = """
select entity, source, key, kind, columns, origin, state from hybrid_sync.difference
where run_id = %(run)s and state in ('confirmed', 'persists')
  and (%(entity)s::text is null or (entity, source, key) > (%(entity)s, %(source)s, %(key)s::int8[]))
order by entity, source, key limit %(limit)s
"""
_FAILED: LiteralString = """
select f.entity, f.source, f.key, f.reason, f.column_name, f.constraint_name, f.present, f.status
from hybrid_sync.failed_record f join hybrid_sync.run_entity e on e.entity = f.entity and e.run_id = %(run)s
where f.status <> 'resolved'
  and (%(entity)s::text is null or (f.entity, f.source, f.key) > (%(entity)s, %(source)s, %(key)s::int8[]))
order by f.entity, f.source, f.key limit %(limit)s
"""

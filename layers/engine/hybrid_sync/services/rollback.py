"""Undo a run, a part per call, as the function that undoes runs has longer than a call may take; or preview that."""

from __future__ import annotations

from typing import LiteralString

from hybrid_sync.contracts import RollbackOutcome, RollbackTask
from hybrid_sync.errors import RequestRejected, no_such_run
from hybrid_sync.postgres import answer
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages.undoing import RollbackAsked, RollbackPreview, WrittenRows
from hybrid_sync.session import dicts
from hybrid_sync.undo.begin import JOURNAL_KEPT, require_last, require_undoable


def rollback(desk: Desk, asked: RollbackAsked, who: str) -> RollbackOutcome:
    """`more` asks for another call with the same `rollback_id`; RunNotFound, or RequestRejected with what is in the
    way."""
    task = RollbackTask(
        run_id=asked.run_id, rollback_id=asked.rollback_id, out_of_order=asked.out_of_order, brief=True,
        requested_by=who,
    )  # fmt: skip
    outcome = desk.undo.some(task)
    if outcome is not None:
        return outcome
    with at_target(desk) as target:
        begun = target.execute(
            "select run_id from hybrid_sync.run where undoes = %s order by started_at desc limit 1", (asked.run_id,)
        ).fetchone()
    return RollbackOutcome(run_id=asked.run_id, rollback_id=begun[0] if begun else asked.rollback_id, more=True)


def preview(desk: Desk, asked: RollbackAsked) -> RollbackPreview:
    """Judge it as a rollback would be judged, and change nothing; RunNotFound."""
    with at_target(desk) as target:
        run = target.execute(_RUN, (JOURNAL_KEPT, asked.run_id)).fetchone()
        if run is None:
            raise no_such_run(asked.run_id)
        undone_by, forgotten, under_way = run
        widths = {
            f"{name}/{source}": len(known.key)
            for name, entity in desk.catalog.entities.items()
            for source, known in entity.sources.items()
        }
        asking = {"run": asked.run_id, "places": list(widths), "widths": list(widths.values())}
        found = answer(target, dicts(_WRITTEN, asking))
        lost = tuple(row["entity"] for row in found if row.pop("lost"))
        written = [WrittenRows(**row) for row in found]
        why = ""
        if not under_way:
            try:
                require_undoable(target, asked.run_id, undone_by, forgotten=forgotten)
                if not asked.out_of_order:
                    require_last(target, asked.run_id, [one.entity for one in written])
            except RequestRejected as refused:
                why = str(refused)
    return RollbackPreview(
        run_id=asked.run_id, possible=not why, why=why, under_way=under_way or "", entities=tuple(written),
        lost=lost,
    )  # fmt: skip


_RUN: LiteralString = """
select r.undone_by, r.started_at < clock_timestamp() - %s,
       (select u.run_id from hybrid_sync.run u where u.undoes = r.run_id and u.status = 'running' limit 1)
from hybrid_sync.run r where r.run_id = %s
"""
_WRITTEN: LiteralString = """
select entity, coalesce(sum(n) filter (where operation = 'insert'), 0)::bigint as inserted,
       coalesce(sum(n) filter (where operation = 'update'), 0)::bigint as updated,
       coalesce(sum(n) filter (where operation = 'link'), 0)::bigint as linked,
       coalesce(sum(n) filter (where operation = 'delete'), 0)::bigint as deleted,
       bool_or(lost) as lost
from (select j.entity, j.operation, w.width is null as lost, cardinality(j.keys) / coalesce(w.width, 1) as n
      from hybrid_sync.journal j
      left join unnest(%(places)s::text[], %(widths)s::int[]) w (place, width) on w.place = j.entity || '/' || j.source
      where j.run_id = %(run)s) written
group by entity order by entity
"""

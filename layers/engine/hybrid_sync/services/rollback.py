"""Undo a run, a part per call, as the function that undoes runs has longer than a call may take; or preview that."""

from __future__ import annotations

from collections import Counter
from typing import LiteralString

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.contracts import RollbackOutcome, RollbackTask
from hybrid_sync.errors import RequestRejected, no_such_run
from hybrid_sync.postgres import Connection, answer
from hybrid_sync.runs.called import names_now
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages.undoing import RollbackAsked, RollbackPreview, WrittenRows
from hybrid_sync.session import dicts
from hybrid_sync.undo import JOURNAL_KEPT
from hybrid_sync.undo.begin import require_last, require_undoable


def rollback(desk: Desk, asked: RollbackAsked, who: str) -> RollbackOutcome:
    """`more` asks for another call with the same `rollback_id`; RunNotFound, or RequestRejected with what is in the
    way."""
    if not asked.rollback_id:  # the function may take its time to start, and would say the same
        with at_target(desk) as target:
            if target.execute("select from hybrid_sync.run where run_id = %s", (asked.run_id,)).fetchone() is None:
                raise no_such_run(asked.run_id)
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
        written, lost = _written(target, desk.catalog, asked.run_id)
        why = ""
        if not under_way:
            try:
                require_undoable(target, asked.run_id, undone_by, forgotten=forgotten)
                if not asked.out_of_order:
                    require_last(target, desk.catalog, asked.run_id, [one.entity for one in written])
            except RequestRejected as refused:
                why = str(refused)
    return RollbackPreview(
        run_id=asked.run_id, possible=not why, why=why, under_way=under_way or "", entities=tuple(written),
        lost=lost,
    )  # fmt: skip


def _written(target: Connection, catalog: Catalog, run_id: str) -> tuple[list[WrittenRows], tuple[str, ...]]:
    """What the run wrote, under the names of now; and of which entities the catalog has not all any more."""
    found = {(row["entity"], row["source"]): row["parts"] for row in answer(target, dicts(_WRITTEN, {"run": run_id}))}
    counts: dict[str, Counter[str]] = {}
    lost: set[str] = set()
    for place, (entity, source) in names_now(target, catalog, run_id, found).items():
        definition = catalog.entities.get(entity)
        known = definition.sources.get(source) if definition else None
        if known is None:
            lost.add(entity)
        width = len(known.key) if known else 1
        of_entity = counts.setdefault(entity, Counter())
        for operation, parts in found[place].items():
            of_entity[_WORDS[operation]] += parts // width
    rows = [WrittenRows(entity=name, **{w: some[w] for w in _WORDS.values()}) for name, some in sorted(counts.items())]
    return rows, tuple(sorted(lost))


_RUN: LiteralString = """
select r.undone_by, r.started_at < clock_timestamp() - %s,
       (select u.run_id from hybrid_sync.run u where u.undoes = r.run_id and u.status = 'running' limit 1)
from hybrid_sync.run r where r.run_id = %s
"""
_WORDS = {"insert": "inserted", "update": "updated", "link": "linked", "delete": "deleted"}
# Each row's key has as many parts as its source has key columns.
_WRITTEN: LiteralString = """
select entity, source, jsonb_object_agg(operation, parts) as parts
from (select entity, source, operation, sum(cardinality(keys)) as parts from hybrid_sync.journal
      where run_id = %(run)s group by entity, source, operation) w
group by entity, source
"""

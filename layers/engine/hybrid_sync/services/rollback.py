"""Undo a run, a part per call: the function that undoes runs has longer than a call may take."""

from __future__ import annotations

from hybrid_sync.contracts import RollbackOutcome, RollbackTask
from hybrid_sync.services.desk import Asked, Desk, at_target


class RollbackAsked(Asked):
    """`rollback_id` goes on with one that has begun."""

    run_id: str
    rollback_id: str = ""
    out_of_order: bool = False

    @property
    def goes_on(self) -> bool:
        return bool(self.rollback_id)


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

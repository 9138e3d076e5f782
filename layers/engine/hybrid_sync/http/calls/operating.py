"""What an operator does to a run: cancel it, undo it, release what it holds."""

from __future__ import annotations

from http import HTTPStatus

from hybrid_sync.http.call import Call, Reply
from hybrid_sync.http.calls.paths import run_id_of
from hybrid_sync.http.models import CancelledSync, SyncRollback, UndoneEntity
from hybrid_sync.http.requests import RollbackRequest
from hybrid_sync.services import held, jobs, rollback
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.messages.holds import HoldsAsked
from hybrid_sync.services.messages.jobs import CancelAsked
from hybrid_sync.services.messages.undoing import RollbackAsked


def cancel_sync(desk: Desk, call: Call) -> Reply:
    """End the run in whatever state it is, also one that has ended; RunNotFound."""
    run_id = run_id_of(call)
    answer = jobs.cancel(desk, CancelAsked(run_id=run_id), call.caller.who)
    return Reply(CancelledSync(run_id=run_id, status=answer.status, status_url=call.link(f"/v1/syncs/{run_id}")))


def roll_back_sync(desk: Desk, call: Call) -> Reply:
    """A preview, or a part of the rollback; RunNotFound, RequestRejected with what stands in the way."""
    run_id = run_id_of(call)
    asked: RollbackRequest = call.body
    task = RollbackAsked(run_id=run_id, rollback_id=asked.rollback_id, out_of_order=asked.out_of_order)
    if asked.preview:
        return _preview(desk, task)
    outcome = rollback.rollback(desk, task, call.caller.who)
    url = call.link(f"/v1/syncs/{outcome.rollback_id}")
    answer = SyncRollback(
        run_id=run_id, preview=False, rollback_id=outcome.rollback_id, more=outcome.more,
        inserted=outcome.undone.inserted, updated=outcome.undone.updated, deleted=outcome.undone.deleted,
        conflicts=outcome.undone.conflicts, failed=outcome.failed, held=outcome.held, status_url=url,
    )  # fmt: skip
    return Reply(answer, location=url)


def release_sync(desk: Desk, call: Call) -> Reply:
    """Let the entities be written again that the run, or its rollback, holds."""
    return Reply(held.release_of(desk, run_id_of(call)))


def list_holds(desk: Desk, call: Call) -> Reply:
    """The held entities, who holds each, and why."""
    return Reply(held.holds(desk, HoldsAsked(), call.caller.who))


def _preview(desk: Desk, task: RollbackAsked) -> Reply:
    seen = rollback.preview(desk, task)
    answer = SyncRollback(
        run_id=seen.run_id, preview=True, possible=seen.possible, why=seen.why, rollback_id=seen.under_way,
        would_undo=tuple(UndoneEntity(**one.model_dump()) for one in seen.entities), failed=seen.lost,
    )  # fmt: skip
    return Reply(answer, HTTPStatus.OK)

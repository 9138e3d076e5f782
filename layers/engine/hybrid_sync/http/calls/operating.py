"""What an operator does to a run: cancel it, undo it, release what it holds."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StrictBool

from hybrid_sync.contracts import Message
from hybrid_sync.http.call import Call, Reply
from hybrid_sync.http.calls.paths import run_id_of
from hybrid_sync.http.endpoint import Endpoint
from hybrid_sync.http.scopes import OPERATE, READ
from hybrid_sync.services.messages import answers

if TYPE_CHECKING:
    from hybrid_sync.services.desk import Desk
    from hybrid_sync.services.messages.undoing import RollbackAsked


class CancelledSync(Message):
    """How the run stands after that; one that is at work ends within moments."""

    run_id: str
    status: str
    status_url: str


class UndoneEntity(Message):
    """What a rollback would take back of one entity, in rows, as far as nobody has changed them since."""

    entity: str
    inserted: int
    updated: int
    linked: int
    deleted: int


class RollbackRequest(Message):
    """The body of POST …/rollback.  `preview` changes nothing; `rollback_id` goes on with one that has begun."""

    preview: StrictBool = False
    out_of_order: StrictBool = False
    rollback_id: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{0,120}$")] = ""


class SyncRollback(Message):
    """A preview: what would be taken back, or `why` it would be refused.

    Else how far the rollback is: `more` asks for the same request again, with `rollback_id`.  `conflicts` counts rows
    that were left alone, by reason; `failed` entities are not undone, or would not be; `held` ones stay as they are
    until they are released.
    """

    run_id: str
    preview: bool
    possible: bool = True
    why: str = ""
    would_undo: tuple[UndoneEntity, ...] = ()
    rollback_id: str = ""
    more: bool = False
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    conflicts: dict[str, int] = Field(default_factory=dict)
    failed: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    status_url: str = ""


ENDPOINTS = (
    Endpoint(
        "cancel_sync", "operating", "POST", "/v1/syncs/{run_id}/cancel", OPERATE, "End a run in whatever state it is",
        CancelledSync,
    ),
    Endpoint(
        "roll_back_sync", "operating", "POST", "/v1/syncs/{run_id}/rollback", OPERATE,
        "Undo what a run wrote, or say what that would be",
        SyncRollback, body=RollbackRequest, status=HTTPStatus.ACCEPTED, otherwise=HTTPStatus.OK,
    ),
    Endpoint(
        "release_sync", "operating", "POST", "/v1/syncs/{run_id}/release", OPERATE,
        "Release what a run, or its rollback, holds", answers.Released,
    ),
    Endpoint("list_holds", "operating", "GET", "/v1/holds", READ, "Entities that are held", answers.Holds),
)  # fmt: skip


def cancel_sync(desk: Desk, call: Call) -> Reply:
    """End the run in whatever state it is, also one that has ended; RunNotFound."""
    from hybrid_sync.services import jobs
    from hybrid_sync.services.messages.jobs import CancelAsked

    run_id = run_id_of(call)
    answer = jobs.cancel(desk, CancelAsked(run_id=run_id), call.caller.who)
    return Reply(CancelledSync(run_id=run_id, status=answer.status, status_url=call.link(f"/v1/syncs/{run_id}")))


def roll_back_sync(desk: Desk, call: Call) -> Reply:
    """A preview, or a part of the rollback; RunNotFound, RequestRejected with what stands in the way."""
    from hybrid_sync.services import rollback
    from hybrid_sync.services.messages.undoing import RollbackAsked

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
    from hybrid_sync.services.held import release_of

    return Reply(release_of(desk, run_id_of(call)))


def list_holds(desk: Desk, call: Call) -> Reply:
    """The held entities, who holds each, and why."""
    from hybrid_sync.services.held import holds
    from hybrid_sync.services.messages.holds import HoldsAsked

    return Reply(holds(desk, HoldsAsked(), call.caller.who))


def _preview(desk: Desk, task: RollbackAsked) -> Reply:
    from hybrid_sync.services import rollback

    seen = rollback.preview(desk, task)
    answer = SyncRollback(
        run_id=seen.run_id, preview=True, possible=seen.possible, why=seen.why, rollback_id=seen.under_way,
        would_undo=tuple(UndoneEntity(**one.model_dump()) for one in seen.entities), failed=seen.lost,
    )  # fmt: skip
    return Reply(answer, HTTPStatus.OK)

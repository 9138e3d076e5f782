"""Single legacy rows: those that failed, and the life of one."""

from __future__ import annotations

import secrets
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StrictBool, ValidationError

from hybrid_sync.contracts import MAX_REFS, Message, Ref
from hybrid_sync.http.call import Call, Reply
from hybrid_sync.http.calls.paths import bad_cursor, cursor_of, entity_of, key_of, position_of
from hybrid_sync.http.endpoint import Endpoint
from hybrid_sync.http.fields import EntityName, Flag, Page
from hybrid_sync.http.scopes import OPERATE, READ
from hybrid_sync.key_values import GivenPart
from hybrid_sync.services.messages import answers

if TYPE_CHECKING:
    from hybrid_sync.services.desk import Desk

_WORD = "^[a-z][a-z0-9_]{0,62}$"
GivenKey = Annotated[tuple[GivenPart, ...], Field(max_length=16)]


class FailedRecord(Message):
    """One legacy row that is not in the target as it should be, by its key; `remedy` says what to do about it."""

    entity: str
    source: str
    key: tuple[int, ...]
    rows: int
    reason: str
    remedy: str
    sqlstate: str | None
    constraint: str | None
    column: str | None
    waits_for: dict[str, Any] | None
    present: bool
    status: str
    attempts: int
    first_run: str
    last_run: str
    first_seen: datetime
    last_seen: datetime
    ended_by: str | None
    accepted_why: str | None


class FailedRecords(Message):
    """A page; `total` counts all that fit from this page on; `next` is the `cursor` of the page after."""

    failures: tuple[FailedRecord, ...]
    total: int
    next: str | None


class RedrivenRecords(Message):
    """`records` this call has handed to the queue; `more` asks for the same request again, with `redrive_id`.  `left`:
    no message may name these, because they have no key, or because their entity is held.  `paused`, in the last
    answer: since when and why nothing is tried yet, or empty."""

    redrive_id: str
    records: int
    left: int
    more: bool
    paused: str


class FailuresQuery(Page):
    """Which failed records; `everything`: resolved ones, too."""

    run_id: Annotated[str | None, Field(pattern="^[A-Za-z0-9_-]{1,80}$")] = None
    entity: EntityName | None = None
    reason: Annotated[str | None, Field(pattern=_WORD)] = None
    everything: Flag = False


class RedriveRequest(Message):
    """The body of POST /v1/failures/redrive: failed records that are tried again, by all that is given, or `all`.

    `redrive_id` goes on with a redrive whose answer said `more`.
    """

    entity: EntityName | None = None
    source: EntityName | None = None
    keys: Annotated[tuple[Annotated[GivenKey, Field(min_length=1)], ...], Field(max_length=MAX_REFS)] = ()
    reason: Annotated[str | None, Field(pattern=_WORD)] = None
    all: StrictBool = False
    redrive_id: Annotated[str, Field(pattern="^(redrive-[0-9]{8}T[0-9]{6}-[0-9a-f]{6})?$")] = ""


class AcceptRequest(Message):
    """The body of POST /v1/failures/accept: records that may stay as they are, all or none, and why."""

    entity: EntityName
    source: EntityName | None = None
    keys: Annotated[tuple[GivenKey, ...], Field(min_length=1, max_length=MAX_REFS)]
    why: Annotated[str, Field(min_length=1, max_length=500)]


class RecordQuery(Message):
    """`source` of an entity that has several."""

    source: EntityName | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 500


ENDPOINTS = (
    Endpoint(
        "list_failures", "records", "GET", "/v1/failures", READ, "Legacy rows that could not be written",
        FailedRecords, query=FailuresQuery,
    ),
    Endpoint(
        "redrive_failures", "records", "POST", "/v1/failures/redrive", OPERATE, "Try failed records again",
        RedrivenRecords, body=RedriveRequest, status=HTTPStatus.ACCEPTED,
    ),
    Endpoint(
        "accept_failures", "records", "POST", "/v1/failures/accept", OPERATE, "Let failed records stay as they are",
        answers.Accepted, body=AcceptRequest,
    ),
    Endpoint(
        "show_record", "records", "GET", "/v1/records/{entity}/{key}", READ, "The life of one legacy row",
        answers.History, query=RecordQuery,
    ),
)  # fmt: skip


def list_failures(desk: Desk, call: Call) -> Reply:
    """By entity, source and key; RequestRejected for an entity or a reason that does not exist, RunNotFound."""
    from hybrid_sync.services.failed import failures
    from hybrid_sync.services.messages.records import FailuresAsked, last_position

    asked: FailuresQuery = call.query
    try:
        wanted = FailuresAsked(**asked.model_dump(exclude={"cursor"}), after=position_of(asked.cursor))
    except ValidationError:
        raise bad_cursor() from None
    found = failures(desk, wanted, call.caller.who)
    following = last_position(found.records) if found.every > len(found.records) else None
    records = tuple(_record(row, found.remedies) for row in found.records)
    return Reply(FailedRecords(failures=records, total=found.every, next=cursor_of(following)))


def redrive_failures(desk: Desk, call: Call) -> Reply:
    """A part of them; RequestRejected for what does not exist, or where nothing is chosen."""
    from hybrid_sync.services.messages.records import RedriveAsked
    from hybrid_sync.services.redrive import redrive

    asked: RedriveRequest = call.body
    name = asked.redrive_id or f"redrive-{desk.now():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    chosen = {**asked.model_dump(), "redrive_id": name, "again": bool(asked.redrive_id)}
    done = redrive(desk, RedriveAsked(**chosen), call.caller.who)
    return Reply(RedrivenRecords(redrive_id=name, **done.model_dump(exclude={"messages"})))


def accept_failures(desk: Desk, call: Call) -> Reply:
    """All of them or none; RequestRejected names what cannot be accepted."""
    from hybrid_sync.services.failed import accept
    from hybrid_sync.services.messages.records import AcceptAsked

    asked: AcceptRequest = call.body
    return Reply(accept(desk, AcceptAsked(**asked.model_dump()), call.caller.who))


def show_record(desk: Desk, call: Call) -> Reply:
    """EntityNotFound, RecordNotFound; no events where nothing is known of it."""
    from hybrid_sync.services.history import history
    from hybrid_sync.services.messages.records import HistoryAsked

    ref = Ref(entity=entity_of(desk, call), legacy_id=key_of(call), source=call.query.source)
    return Reply(history(desk, HistoryAsked(ref=ref, limit=call.query.limit), call.caller.who))


def _record(row: dict[str, Any], remedies: dict[str, str]) -> FailedRecord:
    named = {"constraint_name": "constraint", "column_name": "column"}
    fields = {named.get(name, name): value for name, value in row.items()}
    return FailedRecord(**fields, remedy=remedies.get(row["reason"], ""))

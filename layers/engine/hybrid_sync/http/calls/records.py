"""Single legacy rows: those that failed, and the life of one."""

from __future__ import annotations

import secrets
from typing import Any

from pydantic import ValidationError

from hybrid_sync.contracts import Ref
from hybrid_sync.http.call import Call, Reply
from hybrid_sync.http.calls.paths import bad_cursor, cursor_of, entity_of, key_of, place_of
from hybrid_sync.http.models import FailedRecord, FailedRecords, RedrivenRecords
from hybrid_sync.http.requests import AcceptRequest, FailuresQuery, RedriveRequest
from hybrid_sync.services import failed, redrive
from hybrid_sync.services import history as service
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.messages.records import AcceptAsked, FailuresAsked, HistoryAsked, RedriveAsked
from hybrid_sync.services.messages.records import place_of as end_of


def list_failures(desk: Desk, call: Call) -> Reply:
    """By entity, source and key; RequestRejected for an entity or a reason that does not exist, RunNotFound."""
    asked: FailuresQuery = call.query
    try:
        wanted = FailuresAsked(**asked.model_dump(exclude={"cursor"}), after=place_of(asked.cursor))
    except ValidationError:
        raise bad_cursor() from None
    found = failed.failures(desk, wanted, call.caller.who)
    following = end_of(found.records) if found.every > len(found.records) else None
    records = tuple(_record(row, found.remedies) for row in found.records)
    return Reply(FailedRecords(failures=records, total=found.every, next=cursor_of(following)))


def redrive_failures(desk: Desk, call: Call) -> Reply:
    """A part of them; RequestRejected for what does not exist, or where nothing is chosen."""
    asked: RedriveRequest = call.body
    name = asked.redrive_id or f"redrive-{desk.now():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    chosen = {**asked.model_dump(), "redrive_id": name, "again": bool(asked.redrive_id)}
    done = redrive.redrive(desk, RedriveAsked(**chosen), call.caller.who)
    return Reply(RedrivenRecords(redrive_id=name, records=done.records, left=done.left, more=done.more))


def accept_failures(desk: Desk, call: Call) -> Reply:
    """All of them or none; RequestRejected names what cannot be accepted."""
    asked: AcceptRequest = call.body
    return Reply(failed.accept(desk, AcceptAsked(**asked.model_dump()), call.caller.who))


def show_record(desk: Desk, call: Call) -> Reply:
    """EntityNotFound, RecordNotFound; no events where nothing is known of it."""
    ref = Ref(entity=entity_of(desk, call), legacy_id=key_of(call), source=call.query.source)
    return Reply(service.history(desk, HistoryAsked(ref=ref, limit=call.query.limit), call.caller.who))


def _record(row: dict[str, Any], remedies: dict[str, str]) -> FailedRecord:
    named = {"constraint_name": "constraint", "column_name": "column"}
    fields = {named.get(name, name): value for name, value in row.items()}
    return FailedRecord(**fields, remedy=remedies.get(row["reason"], ""))

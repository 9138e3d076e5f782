"""Failed records that a person has tried again: some, of one cause, of one entity, or all."""

from __future__ import annotations

from hybrid_sync.errors import RequestRejected, SyncError
from hybrid_sync.failures.redrive import Which, left, take_again
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.failed import require_reason, source_of
from hybrid_sync.services.messages.records import RedriveAsked, Redriven


def redrive(desk: Desk, asked: RedriveAsked, _: str) -> Redriven:
    """A part of them; safe to repeat.  RequestRejected for what does not exist, or where nothing is chosen."""
    if not (asked.entity or asked.reason or asked.all):
        raise RequestRejected("Nothing says which records: name an entity or a reason, or ask for all.")
    source = asked.source
    if asked.keys:
        if asked.entity is None:
            raise RequestRejected("Keys are of one entity, and none is named.")
        source = source_of(desk.catalog, asked.entity, source, asked.keys)
    elif asked.entity is not None:
        desk.catalog[asked.entity]
    which = Which(asked.entity, source, asked.reason, asked.keys)
    with at_target(desk) as target:
        messages = take_again(target, asked.redrive_id, which)
        if not messages and asked.reason is not None:
            require_reason(target, desk.catalog, asked.reason)
        kept = left(target, which)
        desk.failure_queue.send(messages)
    records = sum(len(message.keys) for message in messages)
    more = bool(messages)
    return Redriven(records=records, messages=len(messages), left=kept, more=more, paused="" if more else _paused(desk))


def _paused(desk: Desk) -> str:
    """Asked when all is done, which an answer that fails here would hide."""
    try:
        return desk.gate.at_work()[2].paused
    except SyncError:
        return ""

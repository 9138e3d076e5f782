"""Failed records that a person has tried again: some, of one cause, of one entity, or all."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hybrid_sync.contracts import Key, Message
from hybrid_sync.errors import RequestRejected
from hybrid_sync.failures.redrive import Which, left, take_again
from hybrid_sync.services.asked import Asked, RunName
from hybrid_sync.services.desk import PAGE_ROWS, Desk, at_target
from hybrid_sync.services.failed import require_reason, source_of


class RedriveAsked(Asked):
    """What fits all that is given; `all` where nothing is.  `again`: a further call of the same redrive."""

    redrive_id: RunName
    entity: str | None = None
    source: str | None = None
    keys: Annotated[tuple[Annotated[Key, Field(min_length=1)], ...], Field(max_length=PAGE_ROWS)] = ()
    reason: str | None = None
    all: bool = False
    again: bool = False

    @property
    def goes_on(self) -> bool:
        return self.again


class Redriven(Message):
    """`records` this call has handed to the queue; `more` asks for another call.  `left`: no message may name these,
    because they have no key, or because their entity is held."""

    records: int
    messages: int
    left: int
    more: bool


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
    return Redriven(records=records, messages=len(messages), left=kept, more=bool(messages))

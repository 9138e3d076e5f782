"""Runs in a list."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, ValidationError

from hybrid_sync.contracts import Message
from hybrid_sync.http.call import Call, Reply
from hybrid_sync.http.calls.paths import bad_cursor, cursor_of, position_of
from hybrid_sync.http.endpoint import Endpoint
from hybrid_sync.http.fields import EntityName, Flag, Moment, Page
from hybrid_sync.http.scopes import READ

if TYPE_CHECKING:
    from hybrid_sync.services.desk import Desk

_STATUS = "^(waiting|running|ended|succeeded|degraded|failed|cancelled|lost|rolled_back)$"


class SyncsQuery(Page):
    """Which runs; `retries`: the small ones of the failure queue, too."""

    status: Annotated[str | None, Field(pattern=_STATUS)] = None
    profile: Annotated[str | None, Field(pattern="^(weekly|daily|hourly|on_demand|verify|rollback)$")] = None
    entity: EntityName | None = None
    since: Moment | None = None
    until: Moment | None = None
    retries: Flag = False


class ListedSync(Message):
    """One run of a list; one that waits has its `place` in the queue, and `why`."""

    run_id: str
    status: str
    profile: str
    trigger: str
    priority: str
    requested_by: str
    correlation_id: str
    started_at: datetime | None
    finished_at: datetime | None
    place: int | None
    why: str
    status_url: str


class Syncs(Message):
    """What waits, then the runs, the newest first; `next` is the `cursor` of the page after, None on the last one."""

    syncs: tuple[ListedSync, ...]
    next: str | None


ENDPOINTS = (
    Endpoint(
        "list_syncs", "listing", "GET", "/v1/syncs", READ, "Runs that wait, run and have ended",
        Syncs, query=SyncsQuery,
    ),
)  # fmt: skip


def list_syncs(desk: Desk, call: Call) -> Reply:
    """A page; RequestRejected for an entity that does not exist."""
    from hybrid_sync.services.listing import ListingAsked, listing

    asked: SyncsQuery = call.query
    if asked.entity is not None:
        desk.catalog[asked.entity]
    filters = asked.model_dump(exclude={"cursor"})
    try:
        wanted = ListingAsked(**filters, after=position_of(asked.cursor))
    except ValidationError:
        raise bad_cursor() from None
    found = listing(desk, wanted, call.caller.who)
    syncs = tuple(ListedSync(**run.model_dump(), status_url=call.link(f"/v1/syncs/{run.run_id}")) for run in found.runs)
    return Reply(Syncs(syncs=syncs, next=cursor_of(found.next)))

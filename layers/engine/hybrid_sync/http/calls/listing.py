"""Runs in a list."""

from __future__ import annotations

from pydantic import ValidationError

from hybrid_sync.http.call import Call, Reply
from hybrid_sync.http.calls.paths import bad_cursor, cursor_of, place_of
from hybrid_sync.http.models import ListedSync, Syncs
from hybrid_sync.http.requests import SyncsQuery
from hybrid_sync.services import listing as service
from hybrid_sync.services.desk import Desk


def list_syncs(desk: Desk, call: Call) -> Reply:
    """A page; RequestRejected for an entity that does not exist."""
    asked: SyncsQuery = call.query
    if asked.entity is not None:
        desk.catalog[asked.entity]
    filters = asked.model_dump(exclude={"cursor"})
    try:
        wanted = service.ListingAsked(**filters, after=place_of(asked.cursor))
    except ValidationError:
        raise bad_cursor() from None
    found = service.listing(desk, wanted, call.caller.who)
    syncs = tuple(ListedSync(**run.model_dump(), status_url=call.link(f"/v1/syncs/{run.run_id}")) for run in found.runs)
    return Reply(Syncs(syncs=syncs, next=cursor_of(found.next)))

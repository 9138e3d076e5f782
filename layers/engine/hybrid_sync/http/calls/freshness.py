"""How fresh the target is, and from where an entity is to be read."""

from __future__ import annotations

from hybrid_sync.http.call import Call, Reply
from hybrid_sync.http.calls.paths import entity_of
from hybrid_sync.services import freshness as service
from hybrid_sync.services.desk import Desk


def list_freshness(desk: Desk, call: Call) -> Reply:
    """Every entity, by name."""
    return Reply(service.freshness(desk, service.FreshnessAsked(), call.caller.who))


def route_entity(desk: Desk, call: Call) -> Reply:
    """Legacy, too, where the target cannot be asked; EntityNotFound."""
    asked = service.RouteAsked(entity=entity_of(desk, call), max_age_seconds=call.query.max_age_seconds)
    return Reply(service.route(desk, asked, call.caller.who))

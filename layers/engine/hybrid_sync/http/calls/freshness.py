"""How fresh the target is, and from where an entity is to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hybrid_sync.contracts import Message
from hybrid_sync.http.call import Call, Reply
from hybrid_sync.http.calls.paths import entity_of
from hybrid_sync.http.endpoint import Endpoint
from hybrid_sync.http.scopes import READ
from hybrid_sync.services.messages import answers
from hybrid_sync.services.messages.answers import LONGEST_AGE, USUAL_AGE

if TYPE_CHECKING:
    from hybrid_sync.services.desk import Desk


class RouteQuery(Message):
    """How old the target's rows may be; by default what one weekly run after the other keeps."""

    max_age_seconds: Annotated[int, Field(ge=1, le=LONGEST_AGE)] = USUAL_AGE


ENDPOINTS = (
    Endpoint(
        "list_freshness", "freshness", "GET", "/v1/freshness", READ, "How fresh each entity is",
        answers.FreshnessAnswer,
    ),
    Endpoint(
        "route_entity", "freshness", "GET", "/v1/entities/{entity}/route", READ,
        "Whether to read an entity from the target or from legacy", answers.Route, query=RouteQuery,
    ),
)  # fmt: skip


def list_freshness(desk: Desk, call: Call) -> Reply:
    """How fresh every entity of the catalog is, by name."""
    from hybrid_sync.services.freshness import FreshnessAsked, freshness

    return Reply(freshness(desk, FreshnessAsked(), call.caller.who))


def route_entity(desk: Desk, call: Call) -> Reply:
    """Legacy, too, where the target cannot be asked; EntityNotFound."""
    from hybrid_sync.services.freshness import RouteAsked, route

    asked = RouteAsked(entity=entity_of(desk, call), max_age_seconds=call.query.max_age_seconds)
    return Reply(route(desk, asked, call.caller.who))

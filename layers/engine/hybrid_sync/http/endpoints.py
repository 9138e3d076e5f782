"""What the HTTP trigger offers: each endpoint says once where it is, who may ask, and what is asked and answered.

The authorizer's policies, the routes and the check of the template's events follow from this table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from hybrid_sync.contracts import Message
from hybrid_sync.http.requests import SyncRequest
from hybrid_sync.http.tokens import READ, WRITE


@dataclass(frozen=True)
class Endpoint:
    """One method of one path; without a scope it is open to everybody."""

    method: str
    path: str
    """As API Gateway writes it: `/v1/syncs/{run_id}`."""
    scope: str | None
    answer: type[Message]
    body: type[Message] | None = None
    status: HTTPStatus = HTTPStatus.OK
    """Of an answer that refuses nothing."""

    @property
    def rule(self) -> str:
        """The path as the resolver of the routes writes it."""
        return re.sub(r"{(\w+)}", r"<\1>", self.path)

    @property
    def resource(self) -> str:
        """The part of an API Gateway ARN that names it, whatever its parameters are."""
        return self.method + re.sub(r"{\w+}", "*", self.path)


class StartedSync(Message):
    """A run that starts as soon as it may, and where to ask how it goes."""

    run_id: str
    status_url: str


class SyncState(Message):
    """How far a run is; its report whole, or without its lists where an answer cannot hold them (`report_cut`).

    One that waits has its `place` in the queue, and `why`; one that another run answers for, which waited for the same
    rows, is as that run is (`answered_by`).
    """

    run_id: str
    status: str
    place: int | None = None
    why: str = ""
    answered_by: str = ""
    started_at: str | None
    finished_at: str | None
    report: dict[str, Any] | None
    report_cut: tuple[str, ...] = ()


class Health(Message):
    """Somebody is there, and knows so many entities."""

    status: str
    entities: int


START = Endpoint("POST", "/v1/syncs", WRITE, StartedSync, SyncRequest, HTTPStatus.ACCEPTED)
SHOW = Endpoint("GET", "/v1/syncs/{run_id}", READ, SyncState)
HEALTH = Endpoint("GET", "/v1/health", None, Health)
ENDPOINTS = (START, SHOW, HEALTH)

"""The audit trail: who changed what of a deployment, when, from where, and what came of it."""

from __future__ import annotations

import json
from typing import Any, Protocol

from hybrid_sync.dataclass import dataclass
from hybrid_sync.postgres import Connection, one_trip
from hybrid_sync.services.messages.trail import Result


class Recorder(Protocol):
    """Where the trail is kept."""

    def connect_target(self) -> Connection: ...


@dataclass(frozen=True)
class Caller:
    """Who asks: as AWS has found, not as the caller says."""

    who: str
    """The ARN of a user or of a role's session, `user:` and an id of Supabase Auth, or `token:` and a token's id."""
    source_ip: str
    request_id: str


def record(desk: Recorder, caller: Caller, command: str, what: dict[str, Any], outcome: Result, code: str) -> None:
    """One line of the trail, to which the worker's role may only add; `code` says why something was not done."""
    with desk.connect_target() as target, one_trip(target, "target", writes=True) as trip:
        trip.do(
            "insert into hybrid_sync.audit (request_id, who, source_ip, command, what, outcome, code)"
            " values (%s, %s, %s, %s, %s, %s, nullif(%s, ''))",
            (caller.request_id, caller.who, caller.source_ip, command, json.dumps(what), outcome, code),
        )

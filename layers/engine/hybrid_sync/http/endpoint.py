"""One endpoint of the HTTP API, declared once."""

from __future__ import annotations

import re
from http import HTTPStatus

from hybrid_sync.contracts import Message
from hybrid_sync.dataclass import dataclass


@dataclass(frozen=True)
class Endpoint:
    """One method of one path; without a scope it is open to everybody.

    `hybrid_sync.http.calls.{module}.{name}` serves it and stands beside this declaration; the template's event is
    called like `name`.  The authorizer loads that file, too: what serves a call is imported when it is called.
    """

    name: str
    """Also the operation's id in the OpenAPI document."""
    module: str
    method: str
    path: str
    """As API Gateway writes it: `/v1/syncs/{run_id}`."""
    scope: str | None
    summary: str
    answer: type[Message] | None
    """None: a text of the type `media`."""
    body: type[Message] | None = None
    query: type[Message] | None = None
    status: HTTPStatus = HTTPStatus.OK
    """Of an answer that refuses nothing."""
    otherwise: HTTPStatus | None = None
    """Another one with the same answer: of what has changed nothing, or of a deployment that is down."""
    idempotent: bool = False
    """It takes an Idempotency-Key."""
    media: str = "application/json"

    @property
    def changes(self) -> bool:
        """Whether it does something, which the audit trail has then, refused or not."""
        return self.method != "GET"

    @property
    def event(self) -> str:
        """The name of its event in the template."""
        return "".join(word.capitalize() for word in self.name.split("_"))

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of what stands in its path."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    @property
    def resource(self) -> str:
        """The part of an API Gateway ARN that names the endpoint, for any values of its parameters."""
        return self.method + re.sub(r"{\w+}", "*", self.path)

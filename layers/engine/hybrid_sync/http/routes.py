"""The HTTP API: an event of API Gateway in, the call that its endpoint makes, an answer or a problem out."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from hybrid_sync.entrypoint import parsed
from hybrid_sync.http.act import Act
from hybrid_sync.http.answers import Response, read, refused, request_id, response
from hybrid_sync.http.call import Call, Reply
from hybrid_sync.http.endpoint import Endpoint
from hybrid_sync.http.endpoints import ENDPOINTS
from hybrid_sync.http.problems import AnswerTooLarge, NothingHere
from hybrid_sync.services.audit import Caller
from hybrid_sync.services.desk import Desk

_BY_ROUTE = {(endpoint.method, endpoint.path): endpoint for endpoint in ENDPOINTS}
_LONGEST_ANSWER = 4_000_000
"""Lambda lets 6 MB pass, in which each quotation mark of ours counts twice."""
_SCHEMES = ("http", "https")
_Event = Mapping[str, Any]


class Api:
    """The endpoints of the table over one deployment."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def resolve(self, event: _Event) -> Response:
        """One request in, one response out; no exception leaves."""
        try:
            endpoint = _BY_ROUTE.get((str(event.get("httpMethod")), str(event.get("resource"))))
            if endpoint is None:
                raise NothingHere("There is nothing at this address.", "GET /openapi.json lists what there is.")
            with Act(self._desk, _caller(event), f"{endpoint.method} {endpoint.path}", changes=endpoint.changes) as act:
                call = _call(endpoint, event)
                act.asked(call.what)
                reply = served_by(endpoint)(self._desk, call)
                if reply.answer is not None:
                    act.answered(reply.answer)
            return _answered(endpoint, reply)
        except Exception as error:  # noqa: BLE001 - the border: every failure leaves as a problem
            return refused(error, event)


def served_by(endpoint: Endpoint) -> Callable[[Desk, Call], Reply]:
    """The function that serves it; what only other endpoints need is not imported."""
    module = importlib.import_module(f"hybrid_sync.http.calls.{endpoint.module}")
    serve: Callable[[Desk, Call], Reply] = getattr(module, endpoint.name)
    return serve


def _call(endpoint: Endpoint, event: _Event) -> Call:
    """RequestRejected or BodyRejected where the request is not what the endpoint takes."""
    context = event.get("requestContext") or {}
    authorizer = context.get("authorizer") or {}
    headers = {name.lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    return Call(
        caller=_caller(event),
        scopes=frozenset(str(authorizer.get("scopes") or "").split()),
        parameters={name: unquote(str(value)) for name, value in (event.get("pathParameters") or {}).items()},
        headers=headers,
        query=parsed(endpoint.query, _query(event)) if endpoint.query else None,
        body=parsed(endpoint.body, read(event)) if endpoint.body else None,
        base=_base(endpoint, context, headers.get("x-forwarded-proto", "")),
    )


def _caller(event: _Event) -> Caller:
    """The caller as the authorizer has found it."""
    context = event.get("requestContext") or {}
    who = str((context.get("authorizer") or {}).get("principalId") or "unknown")
    return Caller(who, str((context.get("identity") or {}).get("sourceIp") or ""), request_id(event))


def _query(event: _Event) -> dict[str, Any]:
    """A parameter that is given several times is a list."""
    given = event.get("multiValueQueryStringParameters") or {}
    return {name: values[0] if len(values) == 1 else values for name, values in given.items()}


def _base(endpoint: Endpoint, context: Mapping[str, Any], scheme: str) -> str:
    """What stands before the endpoint's path: the host, and a stage or the prefix of a domain of one's own."""
    depth = endpoint.path.count("/")
    prefix = "/".join(str(context.get("path") or "").rstrip("/").split("/")[:-depth])
    host = context.get("domainName")
    return f"{scheme if scheme in _SCHEMES else 'https'}://{host}{prefix}" if host else prefix


def _answered(endpoint: Endpoint, reply: Reply) -> Response:
    text = reply.text if reply.answer is None else reply.answer.model_dump_json()
    if len(text) > _LONGEST_ANSWER:
        raise AnswerTooLarge(f"The answer has {len(text):,} bytes, more than can be sent.", "Ask for less at once.")
    links = {"Location": reply.location} if reply.location else {}
    return response(reply.status or endpoint.status, text, endpoint.media, **links, **reply.headers)

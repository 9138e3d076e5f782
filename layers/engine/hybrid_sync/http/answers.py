"""Requests read as JSON, and answers as API Gateway takes them from a function."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from hybrid_sync.http.problems import MEDIA, BodyRejected, BodyTooLarge, headers_of, problem_of

LONGEST_BODY = 256 * 1024
JSON = "application/json"
Response = dict[str, Any]


def read(event: Mapping[str, Any]) -> Any:
    """The body as JSON; a text that is too long, too deep or none is refused before anything is made of it."""
    body = str(event.get("body") or "")
    try:
        text = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    except ValueError:
        raise _no_json() from None
    if len(text) > LONGEST_BODY:
        raise BodyTooLarge(f"The body is longer than {LONGEST_BODY:,} bytes.", "Send several requests.")
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise _no_json() from None


def response(status: HTTPStatus | int, text: str, media: str = JSON, **headers: str) -> Response:
    """An HTTP response; nothing may cache it, because the next answer may differ."""
    all_headers = {"Content-Type": media, "Cache-Control": "no-store", **headers}
    return {"statusCode": int(status), "headers": all_headers, "body": text}


def refused(error: Exception, event: Mapping[str, Any]) -> Response:
    """Any failure, as a problem document."""
    found = problem_of(error, request_id(event))
    return response(found.status, found.model_dump_json(), MEDIA, **headers_of(error))


def request_id(event: Mapping[str, Any]) -> str:
    """As API Gateway counts requests."""
    return str((event.get("requestContext") or {}).get("requestId") or "unknown")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """One of two values of a name would be dropped unseen, and a run would be about less than its caller has named."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BodyRejected("The body has a name twice in one object.", "Write each once; `entities` takes a list.")
    return found


def _no_json() -> BodyRejected:
    return BodyRejected("The body is not JSON.", 'Send, for instance, {"entities": ["payments"]}.')

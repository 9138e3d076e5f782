"""Requests read and answered as JSON: every failure is a sentence with its remedy, and shows nothing of the inside."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from hybrid_sync.entrypoint import error_sentence, logger, raised_at
from hybrid_sync.errors import (
    QueueFull,
    RequestConflicts,
    RequestForbidden,
    RequestRejected,
    RunNotFound,
    SyncError,
)


class BodyRejected(SyncError):
    """The body is not JSON."""

    code = "body_invalid"


class BodyTooLarge(SyncError):
    """The body is longer than any request that can be served."""

    code = "body_too_large"


class AnswerTooLarge(SyncError):
    """Lambda lets no answer of this length pass."""

    code = "answer_too_large"


LONGEST_BODY = 64 * 1024
_LONGEST_ECHO = 1_000
STATUS: dict[type[SyncError], HTTPStatus] = {
    RequestRejected: HTTPStatus.UNPROCESSABLE_ENTITY,
    BodyRejected: HTTPStatus.BAD_REQUEST,
    RequestConflicts: HTTPStatus.CONFLICT,
    RunNotFound: HTTPStatus.NOT_FOUND,
    RequestForbidden: HTTPStatus.FORBIDDEN,
    QueueFull: HTTPStatus.TOO_MANY_REQUESTS,
    BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
INTERNAL = {
    "error": "internal",
    "message": "Something unexpected happened.",
    "remedy": "Ask the operator to read the log.",
}
Refusal = tuple[HTTPStatus, dict[str, str]]


def read(event: Mapping[str, Any]) -> Any:
    """The body as JSON; a text that is too long, too deep or none is refused before anything is made of it."""
    body = str(event.get("body") or "")
    if len(body) > LONGEST_BODY:
        raise BodyTooLarge(f"The body is longer than {LONGEST_BODY} bytes.", "Send several requests.")
    try:
        return json.loads(base64.b64decode(body) if event.get("isBase64Encoded") else body)
    except (ValueError, RecursionError):
        raise BodyRejected("The body is not JSON.", 'Send, for instance, {"entities": ["payments"]}.') from None


def refusal(error: Exception) -> Refusal:
    """The failure's status, and its sentence; what is not ours is told as such and no more."""
    if not isinstance(error, SyncError):
        logger.error("request failed", extra={"error": error_sentence(error)[0], "raised_at": raised_at(error)})
        return HTTPStatus.INTERNAL_SERVER_ERROR, INTERNAL
    otherwise = HTTPStatus.SERVICE_UNAVAILABLE if error.transient else HTTPStatus.INTERNAL_SERVER_ERROR
    status = STATUS.get(type(error), otherwise)
    logger.warning("request refused", extra={"error": error.code, "status": int(status)})
    return status, {"error": error.code, "message": _short(error.message), "remedy": _short(error.remedy)}


def headers(error: Exception | None = None) -> dict[str, str]:
    """Of every answer; one that refuses for the time being says when to come again."""
    later = {"Retry-After": str(error.retry_after)} if isinstance(error, QueueFull) else {}
    return {"Cache-Control": "no-store", **later}


def _short(text: str) -> str:
    """A sentence may name what the caller has sent: not all of it."""
    return text if len(text) <= _LONGEST_ECHO else f"{text[:_LONGEST_ECHO]}…"

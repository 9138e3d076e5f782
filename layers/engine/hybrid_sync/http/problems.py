"""Refusals as RFC 9457 problem details: each a stable code, a sentence and its remedy, nothing of the inside."""

from __future__ import annotations

from http import HTTPStatus

from hybrid_sync.contracts import Message
from hybrid_sync.entrypoint import error_sentence, logger, raised_at
from hybrid_sync.errors import (
    QueueFull,
    RequestConflicts,
    RequestForbidden,
    RequestRejected,
    RunNotFound,
    SyncError,
)

MEDIA = "application/problem+json"
LONGEST_SENTENCE = 1_000
RETRY_SECONDS = 10
"""After a failure that passes, and of which nobody knows when."""


class BodyRejected(SyncError):
    """The body is not JSON, or has a name twice."""

    code = "body_invalid"


class BodyTooLarge(SyncError):
    """The body is longer than any request that can be served."""

    code = "body_too_large"


class AnswerTooLarge(SyncError):
    """Lambda lets no answer of this length pass."""

    code = "answer_too_large"


class Unauthorized(SyncError):
    """The request does not prove who sends it."""

    code = "unauthorized"


class NothingHere(SyncError):
    """No endpoint has this method and path."""

    code = "not_found"


class EntityNotFound(SyncError):
    """The catalog has no entity of this name."""

    code = "entity_not_found"


class RecordNotFound(SyncError):
    """What stands in the path can be no legacy key."""

    code = "record_not_found"


class SenderUnproved(SyncError):
    """The event does not prove who sends it."""

    code = "unauthorized"


STATUS: dict[type[SyncError], HTTPStatus] = {
    RequestRejected: HTTPStatus.UNPROCESSABLE_ENTITY,
    BodyRejected: HTTPStatus.BAD_REQUEST,
    RequestConflicts: HTTPStatus.CONFLICT,
    RunNotFound: HTTPStatus.NOT_FOUND,
    NothingHere: HTTPStatus.NOT_FOUND,
    EntityNotFound: HTTPStatus.NOT_FOUND,
    RecordNotFound: HTTPStatus.NOT_FOUND,
    SenderUnproved: HTTPStatus.UNAUTHORIZED,
    RequestForbidden: HTTPStatus.FORBIDDEN,
    Unauthorized: HTTPStatus.UNAUTHORIZED,
    QueueFull: HTTPStatus.TOO_MANY_REQUESTS,
    BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
"""Refusals that are the caller's to mend."""


class Problem(Message):
    """What went wrong.  `code` never changes its meaning; `detail` and `remedy` are for people."""

    type: str
    """`urn:hybrid-sync:problem:` and the code."""
    title: str
    status: int
    detail: str
    code: str
    remedy: str = ""
    instance: str
    """`urn:hybrid-sync:request:` and the request's id, as the access log has it."""


def problem(code: str, status: HTTPStatus, detail: str, remedy: str, request_id: str) -> Problem:
    """Its type and title follow from the code."""
    return Problem(
        type=f"urn:hybrid-sync:problem:{code}", title=code.replace("_", " ").capitalize(), status=int(status),
        detail=_short(detail), code=code, remedy=_short(remedy), instance=f"urn:hybrid-sync:request:{request_id}",
    )  # fmt: skip


def problem_of(error: Exception, request_id: str) -> Problem:
    """The failure's status and sentence; of a failure that is not one of ours, only that there was one."""
    if not isinstance(error, SyncError):
        logger.error("request failed", extra={"error": error_sentence(error)[0], "raised_at": raised_at(error)})
        unexpected = ("Something unexpected happened.", "Ask the operator to read the log.")
        return problem("internal", HTTPStatus.INTERNAL_SERVER_ERROR, *unexpected, request_id)
    otherwise = HTTPStatus.SERVICE_UNAVAILABLE if error.transient else HTTPStatus.INTERNAL_SERVER_ERROR
    status = STATUS.get(type(error), otherwise)
    logger.warning("request refused", extra={"error": error.code, "status": int(status)})
    return problem(error.code, status, error.message, error.remedy, request_id)


def headers_of(error: Exception) -> dict[str, str]:
    """A refusal for the time being says when to come again."""
    if not isinstance(error, SyncError):
        return {}
    seconds = error.retry_after or (RETRY_SECONDS if error.transient and type(error) not in STATUS else 0)
    return {"Retry-After": str(seconds)} if seconds else {}


def _short(text: str) -> str:
    """A sentence may name what the caller has sent: not all of it."""
    return text if len(text) <= LONGEST_SENTENCE else f"{text[:LONGEST_SENTENCE]}…"

"""Whether the deployment is well: nothing that would help an attacker, and never much work."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from hybrid_sync.entrypoint import error_sentence, logger
from hybrid_sync.errors import SyncError
from hybrid_sync.http.call import Call, Reply
from hybrid_sync.http.endpoint import Endpoint
from hybrid_sync.services.messages import answers
from hybrid_sync.services.messages.answers import Health

if TYPE_CHECKING:
    from hybrid_sync.services.desk import Desk

KEPT_SECONDS = 5
"""The endpoint is open to everybody: however often it is asked, a worker looks this seldom."""
_kept: dict[str, tuple[Desk, datetime, Health]] = {}

ENDPOINTS = (
    Endpoint(
        "health", "health", "GET", "/v1/health", None, "Whether the deployment is well",
        answers.Health, otherwise=HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)  # fmt: skip


def health(desk: Desk, _: Call) -> Reply:
    """503 where a part is away without which no run can succeed."""
    answer = _recent(desk)
    return Reply(answer, HTTPStatus.SERVICE_UNAVAILABLE if answer.status == "down" else None)


def _recent(desk: Desk) -> Health:
    from hybrid_sync.services.health import health as look

    of, until, answer = _kept.get("health") or (None, desk.now(), None)
    if answer is None or of is not desk or desk.now() >= until:
        answer = look(desk, _note)
        # From its end: whatever is away may have taken ten seconds to say so.
        _kept["health"] = (desk, desk.now() + timedelta(seconds=KEPT_SECONDS), answer)
    return answer


def _note(part: str, error: SyncError) -> None:
    """Why it is away is in the log, and only there."""
    logger.warning("a part is away", extra={"part": part, "error": error_sentence(error)[0]})

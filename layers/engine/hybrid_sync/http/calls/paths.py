"""What stands in a path, read; what cannot be there is not found."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from hybrid_sync.contracts import Key
from hybrid_sync.errors import RequestRejected, RunNotFound
from hybrid_sync.http.call import Call
from hybrid_sync.http.problems import EntityNotFound, RecordNotFound
from hybrid_sync.key_values import HIGHEST, LOWEST

if TYPE_CHECKING:
    from hybrid_sync.services.desk import Desk

_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,120}")
_KEY = re.compile(r"-?[0-9]{1,19}(,-?[0-9]{1,19}){0,15}")


def run_id_of(call: Call) -> str:
    """RunNotFound where what stands in the path can be none."""
    run_id = call.parameters["run_id"]
    if not _RUN_ID.fullmatch(run_id):
        raise RunNotFound("That is no run id.", "Ask for the run_id that POST /v1/syncs returned.")
    return run_id


def entity_of(desk: Desk, call: Call) -> str:
    """EntityNotFound where the catalog has none of this name."""
    name = call.parameters["entity"]
    if name not in desk.catalog.entities:
        raise EntityNotFound("The catalog has no entity of this name.", "GET /v1/freshness lists all of them.")
    return name


def key_of(call: Call) -> Key:
    """The parts of a legacy key with commas between them; RecordNotFound where it can be none."""
    text = call.parameters["key"]
    parts = tuple(map(int, text.split(","))) if _KEY.fullmatch(text) else ()
    if not parts or not all(LOWEST <= part <= HIGHEST for part in parts):
        raise RecordNotFound("That is no legacy key.", "Write an integer, or integers with commas between them.")
    return parts


def cursor_of(position: Any) -> str | None:
    """Where a page ended, as the word that asks for the page after it."""
    if position is None:
        return None
    return base64.urlsafe_b64encode(json.dumps(position, default=str).encode()).decode().rstrip("=")


def position_of(cursor: str | None) -> Any:
    """Where the page before ended, from its cursor; RequestRejected where that is none of ours."""
    if cursor is None:
        return None
    try:
        return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError):
        raise bad_cursor() from None


def bad_cursor() -> RequestRejected:
    """The refusal of a cursor that no answer of ours had."""
    return RequestRejected("cursor: that is none of ours.", "Send the `next` of the page before, or leave it out.")

"""What an event says to us: its type, its id, and the legacy keys of rows.  Nothing else of it is looked at or kept."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hybrid_sync.catalog.json_path import NotThere, values
from hybrid_sync.catalog.webhooks import Event, Rows, Signature, Source
from hybrid_sync.contracts import MAX_REFS, Profile, Ref, RunRequest
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import RequestRejected

_TYPE = {
    Signature.standard: ("type",),
    Signature.supabase: ("table", "type"),
    Signature.stripe: ("type",),
    Signature.square: ("type",),
    Signature.eventbridge: ("detail-type",),
}
"""Where the type of an event stands; of a change in a table it is `orders.UPDATE`."""
_ID = {Signature.stripe: "id", Signature.square: "event_id", Signature.eventbridge: "id"}
_ID_HEADER = {Signature.standard: "webhook-id"}
_LONGEST = 300


@dataclass(frozen=True)
class Hint:
    """An event as far as it concerns us; without a run (`request`) its type is mapped to nothing."""

    event_type: str
    job_id: str
    """Equal for each delivery of one event; new each time where the sender does not number its events."""
    request: RunRequest | None


def read_hint(name: str, source: Source, body: bytes, headers: Mapping[str, str]) -> Hint:
    """The hint of a body whose sender is known; RequestRejected where it names no row."""
    document = _document(body)
    event_type = ".".join(_text(document, path) for path in _TYPE[source.signed])
    event = source.events.get(event_type)
    job_id = _job_id(name, source.signed, document, headers)
    return Hint(event_type, job_id, _request(name, event, document) if event else None)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise RequestRejected("The body is no JSON object.", "Send the event as it was signed.")
    return document


def _text(document: dict[str, Any], path: str) -> str:
    value = document.get(path)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
        raise RequestRejected(f"The event has no {path}.", "Send the event as its sender documents it.")
    return value


def _job_id(name: str, signed: Signature, document: dict[str, Any], headers: Mapping[str, str]) -> str:
    if signed in _ID_HEADER:
        number = headers[_ID_HEADER[signed]]
    elif signed in _ID:
        number = _text(document, _ID[signed])
    else:
        return f"webhook-{secrets.token_hex(20)}"
    digest = hashlib.sha256(f"{name} {number}".encode(errors="surrogatepass")).hexdigest()
    return f"webhook-{digest[:40]}"


def _request(name: str, event: Event, document: dict[str, Any]) -> RunRequest:
    refs = dict.fromkeys(ref for rows in event.rows for ref in _refs(rows, document))
    if not refs or len(refs) > MAX_REFS:
        raise RequestRejected(f"The event names {len(refs)} rows.", f"Name 1 to {MAX_REFS} of them.")
    return RunRequest(
        profile=Profile.on_demand, trigger="webhook", priority=event.priority, refs=tuple(refs), act=event.act,
        include="dependencies", requested_by=f"webhook:{name}",
    )  # fmt: skip


def _refs(rows: Rows, document: dict[str, Any]) -> list[Ref]:
    try:
        parts = [values(document, path) for path in rows.key]
    except NotThere as missing:
        raise RequestRejected(
            f"The event has no {missing} where the key of {rows.entity} is looked for ({', '.join(rows.key)}).",
            "Send it, or correct webhooks.yaml.",
        ) from None
    if len({len(part) for part in parts}) > 1:
        raise RequestRejected(f"The event does not have all parts of each key of {rows.entity}.", "Send all of them.")
    try:
        return [_ref(rows, key) for key in zip(*parts, strict=True)]
    except ValidationError:
        raise RequestRejected(
            f"A legacy key of {rows.entity} in the event is no whole number.", "Send an integer, or its digits."
        ) from None


def _ref(rows: Rows, parts: tuple[Any, ...]) -> Ref:
    """Written as other requests are, so that one run can answer for both; a list where one part is meant is no key."""
    if len(parts) == 1 and isinstance(parts[0], list):
        raise RequestRejected(
            f"The event has a list where one legacy key of {rows.entity} is looked for ({rows.key[0]}).",
            f"Send one key, or write `{rows.key[0]}[*]` in webhooks.yaml: each of the list is then a key.",
        )
    return Ref(entity=rows.entity, legacy_id=parts if len(parts) > 1 else parts[0], source=rows.source)


def sample_of(signed: Signature, event_type: str, message_id: str) -> dict[str, Any]:
    """An event without its rows, as such a sender makes one."""
    ways = _TYPE[signed]
    named = dict(zip(ways, event_type.split(".", len(ways) - 1), strict=True))
    return named | ({_ID[signed]: message_id} if signed in _ID else {})

"""`POST /v1/webhooks/{source}`: nobody has let the caller in, so the signature is judged here, before anything else.

An event starts a run of the rows that it names.  No part of it but their keys, its type and a hash of its id is kept,
and none is logged.  Whoever is refused learns nothing of why; the log has it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from typing import Any, Protocol

from hybrid_sync.admission.job import Job
from hybrid_sync.catalog.webhooks import Signature, Source, Webhooks
from hybrid_sync.contracts import Message, RunRequest
from hybrid_sync.entrypoint import logger
from hybrid_sync.errors import RequestConflicts, RequestForbidden, RequestRejected
from hybrid_sync.http.answers import LONGEST_BODY, Response, refused, response
from hybrid_sync.http.problems import BodyRejected, BodyTooLarge, NothingHere, SenderUnproved
from hybrid_sync.webhooks.hint import Hint, read_hint
from hybrid_sync.webhooks.signatures import KINDS, Received, Secret, proved

_NOBODYS = Secret("whsec_bm9ib2R5IGtub3dzIHRoaXM=")
"""Compared where there is no secret, so that it takes as long."""


class EventAnswer(Message):
    """The run that an event has started, or has started before; none where its type is mapped to nothing."""

    status: str
    run_id: str | None = None


class Gate(Protocol):
    """Where everything that starts is admitted."""

    def add(self, request: RunRequest, job_id: str, caller: str) -> Job: ...


class Secrets(Protocol):
    """Of each source."""

    def secrets(self, source: str) -> list[Secret]: ...

    def look_again(self) -> bool: ...


class Receiver:
    """Events over HTTP."""

    def __init__(self, webhooks: Webhooks, held: Secrets, gate: Gate, now: Callable[[], datetime]) -> None:
        self._webhooks = webhooks
        self._held = held
        self._gate = gate
        self._now = now

    def resolve(self, event: Mapping[str, Any]) -> Response:
        """One request in, one response out; no exception leaves."""
        try:
            heard = self._posted(event)
            status = HTTPStatus.ACCEPTED if heard.run_id else HTTPStatus.OK
            return response(status, heard.model_dump_json(exclude_none=True))
        except Exception as error:  # noqa: BLE001 - the border: every failure leaves as a problem
            return refused(error, event)

    def _posted(self, event: Mapping[str, Any]) -> EventAnswer:
        received = Received(_body(event), _lower(event.get("headers") or {}))
        name = str((event.get("pathParameters") or {}).get("source", ""))
        source = self._source(name)
        if not self._is_proved(name if source else "", source, received):
            logger.warning("webhook refused", extra={"source": name if source else "unknown"})
            if source is None:
                raise NothingHere("There is nothing at this address.")
            raise SenderUnproved("The sender of this event is not proved.")
        assert source is not None  # nobody has signed for a source that is not there
        return _started(self._gate, name, read_hint(name, source, received.body, received.headers))

    def _source(self, name: str) -> Source | None:
        source = self._webhooks.webhooks.get(name)
        return None if source is None or source.signed is Signature.eventbridge else source

    def _is_proved(self, name: str, source: Source | None, received: Received) -> bool:
        """By a secret that is known, or has just become so; the same is done where there is no such source."""
        kind = KINDS[source.signed if source else Signature.standard]
        held = self._held.secrets(name)
        if proved(kind, received, held or [_NOBODYS], self._now()) and held:
            return True
        if not self._held.look_again():
            return False
        held = self._held.secrets(name)
        return proved(kind, received, held or [_NOBODYS], self._now()) and bool(held)


class Bus:
    """Events of the event bus, whose sender AWS knows."""

    def __init__(self, webhooks: Webhooks, gate: Gate) -> None:
        self._webhooks = webhooks
        self._gate = gate

    def heard(self, event: Mapping[str, Any]) -> EventAnswer:
        """Drops what is wrong with the event itself, and raises the rest.

        What is raised is delivered twice again within minutes, and then by the queue of missed schedules until it is
        heard.
        """
        name = self._webhooks.bus
        if name is None:
            return EventAnswer(status="ignored")
        try:
            hint = read_hint(name, self._webhooks.webhooks[name], json.dumps(event).encode(), {})
            return _started(self._gate, name, hint)
        except (RequestRejected, RequestForbidden) as error:
            logger.error("event refused", extra={"source": name, "error": error.code, "said": str(error)})
            return EventAnswer(status="refused")


def _started(gate: Gate, name: str, hint: Hint) -> EventAnswer:
    if hint.request is None:
        logger.info("event ignored", extra={"source": name})
        return EventAnswer(status="ignored")
    with suppress(RequestConflicts):  # known, and the catalog has changed since: the run has been, all the same
        gate.add(hint.request, hint.job_id, f"webhook:{name}")
    facts = {"source": name, "run_id": hint.job_id, "refs": len(hint.request.refs)}
    logger.info("event accepted", extra={**facts, "event": hint.event_type, "priority": hint.request.priority})
    return EventAnswer(status="accepted", run_id=hint.job_id)


def _body(event: Mapping[str, Any]) -> bytes:
    """The body byte for byte; BodyTooLarge and BodyRejected before anything is made of it."""
    text = str(event.get("body") or "")
    body = text.encode(errors="surrogatepass")
    if event.get("isBase64Encoded"):
        try:
            body = base64.b64decode(text, validate=True)
        except ValueError:
            raise BodyRejected("The body cannot be decoded.", "Send the event as it was signed.") from None
    if len(body) > LONGEST_BODY:
        raise BodyTooLarge(f"The body is longer than {LONGEST_BODY:,} bytes.", "Send identifiers only.")
    return body


def _lower(given: Mapping[str, Any]) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in given.items()}

"""Webhooks, as their admin sees them: what is mapped to what, new secrets, and a signed sample to try one with."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from secrets import token_hex
from typing import Any

from hybrid_sync.catalog.json_path import put
from hybrid_sync.catalog.webhooks import Event, Rows, Signature, Source
from hybrid_sync.contracts import Ref
from hybrid_sync.errors import RequestRejected
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.messages.senders import (
    SHORTEST_SECRET,
    EventsAsked,
    KnownEvent,
    KnownEvents,
    KnownSecret,
    KnownSource,
    RotateAsked,
    Rotated,
    SignAsked,
    SignedEvent,
)
from hybrid_sync.webhooks.hint import read_hint, sample_of
from hybrid_sync.webhooks.signatures import KINDS, Secret


def events(desk: Desk, _: EventsAsked, __: str) -> KnownEvents:
    """Every source with its events, and how many secrets it has; never a secret."""
    return KnownEvents(
        sources=tuple(
            KnownSource(
                source=name, signed=source.signed, events=tuple(_known(source)),
                secrets=tuple(KnownSecret(made_at=h.made_at, until=h.until) for h in desk.keyring.open(name)),
            )
            for name, source in desk.webhooks.webhooks.items()
        )
    )  # fmt: skip


def rotate(desk: Desk, asked: RotateAsked, _: str) -> Rotated:
    """Give the source another secret, beside which the ones before stay valid for a time."""
    source = _over_http(desk, asked.source)
    given = asked.secret.get_secret_value().strip() if asked.secret else ""
    if asked.secret and not _usable(source.signed, given):
        raise RequestRejected(
            f"This is no secret of a {source.signed} webhook.",
            f"Copy it from the sender: {SHORTEST_SECRET} letters at least; a standard one is base64 behind whsec_.",
        )
    made = given or KINDS[source.signed].make()
    desk.keyring.replace(asked.source, made, asked.url, timedelta(hours=asked.overlap_hours))
    return Rotated(source=asked.source, secret="" if given else made, open=len(desk.keyring.open(asked.source)))


def sign(desk: Desk, asked: SignAsked, _: str) -> SignedEvent:
    """A sample event about these rows, signed with the source's newest secret, ready to be sent by anybody."""
    source = _over_http(desk, asked.source)
    event = source.events.get(asked.event)
    if event is None:
        raise RequestRejected(f"{asked.source} sends no {asked.event}.", f"Choose from {', '.join(source.events)}.")
    held = desk.keyring.secrets(asked.source)
    if not held:
        raise RequestRejected(
            f"{asked.source} has no secret.", f"Make one with: hybrid-sync webhook secret rotate {asked.source}"
        )
    message_id = f"sample_{token_hex(12)}"
    body = json.dumps(_about(sample_of(source.signed, asked.event, message_id), event, asked.refs)).encode()
    headers = KINDS[source.signed].sign(body, Secret(held[0].text, held[0].url), message_id, desk.now())
    read_hint(asked.source, source, body, headers)  # says what the event lacks
    return SignedEvent(body=body.decode(), headers={"Content-Type": "application/json", **headers}, act=event.act)


def _about(document: dict[str, Any], event: Event, refs: tuple[Ref, ...]) -> dict[str, Any]:
    """The document with each key where the event's rows are looked for."""
    for ref in refs:
        rows = next((r for r in event.rows if _means(r, ref)), None)
        if rows is None:
            about = ", ".join(dict.fromkeys(row.entity for row in event.rows))
            raise RequestRejected(f"The event is not about such a row of {ref.entity}.", f"It is about: {about}.")
        for path, part in zip(rows.key, ref.key, strict=True):
            put(document, path, part)
    return document


def _means(rows: Rows, ref: Ref) -> bool:
    return rows.entity == ref.entity and ref.source in (None, rows.source) and len(rows.key) == len(ref.key)


def _known(source: Source) -> Iterator[KnownEvent]:
    for name, event in source.events.items():
        act = "" if event.act == "sync" else f"{event.act} "
        rows = tuple(f"{act}{row.entity}: {', '.join(row.key)}" for row in event.rows)
        yield KnownEvent(event=name, priority=event.priority, rows=rows)


def _over_http(desk: Desk, name: str) -> Source:
    """RequestRejected where there is no such source, or none that signs."""
    source = desk.webhooks.webhooks.get(name)
    if source is None:
        raise RequestRejected(f"There is no source {name} in webhooks.yaml.", "See hybrid-sync events.")
    if source.signed is Signature.eventbridge:
        raise RequestRejected(f"{name} sends over the event bus, where AWS knows it.", "It needs no secret.")
    return source


def _usable(signed: Signature, secret: str) -> bool:
    if signed is Signature.standard:
        try:
            return len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) >= SHORTEST_SECRET
        except ValueError:
            return False
    return len(secret) >= SHORTEST_SECRET and secret.isascii() and secret.isprintable()

"""Signatures of senders: each kind proves a body by one secret, and signs one for a sample.

Comparisons take the same time wherever the difference stands, and every secret is tried, whichever has fitted.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Protocol

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from hybrid_sync.catalog.webhooks import Signature
from hybrid_sync.dataclass import dataclass

TOLERANCE = timedelta(minutes=5)
"""How far a signed time may be from ours, in either direction; Standard Webhooks' library has the same."""
_SECRET_BYTES = 32
_MOST_SIGNATURES = 20


@dataclass(frozen=True)
class Received:
    """What a sender has signed: the body byte for byte, and the headers by their names in lower case."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Secret:
    """What both sides know; `url` is the address that the sender was given, which Square signs too."""

    text: str = field(repr=False)
    url: str = ""


class Kind(Protocol):
    """One way of signing."""

    def proves(self, received: Received, secret: Secret, now: datetime) -> bool:
        """Whether the holder of the secret has signed this body, lately where the time is signed."""
        ...

    def sign(self, body: bytes, secret: Secret, message_id: str, now: datetime) -> dict[str, str]:
        """The headers of a sender."""
        ...

    def make(self) -> str:
        """A new random secret in the form that this kind of sender takes."""
        ...


class Standard:
    """Standard Webhooks: id, time and body, by the specification's own library."""

    def proves(self, received: Received, secret: Secret, now: datetime) -> bool:
        try:
            Webhook(secret.text).verify(received.body, dict(received.headers), json_parse=False)
        except (WebhookVerificationError, ValueError):  # ValueError: what is no base64, or no text
            return False
        return True

    def sign(self, body: bytes, secret: Secret, message_id: str, now: datetime) -> dict[str, str]:
        signature = Webhook(secret.text).sign(message_id, now, body.decode())
        return {"webhook-id": message_id, "webhook-timestamp": _seconds(now), "webhook-signature": signature}

    def make(self) -> str:
        return f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"


class _ByToken:
    """Whose secret is a text of its own, and one header says that it is known."""

    def make(self) -> str:
        return secrets.token_urlsafe(_SECRET_BYTES)


class Stripe(_ByToken):
    """`Stripe-Signature: t=…,v1=…`: HMAC-SHA256 of time and body in hexadecimal; one v1 of several is enough."""

    _HEADER = "stripe-signature"

    def proves(self, received: Received, secret: Secret, now: datetime) -> bool:
        parts = [part.strip().partition("=") for part in received.headers.get(self._HEADER, "").split(",")]
        times = [value for name, _, value in parts if name == "t"]
        if len(times) != 1 or not re.fullmatch(r"[0-9]{1,12}", times[0]):
            return False
        expected = _hmac(secret, times[0].encode() + b"." + received.body).hex()
        given = [value for name, _, value in parts if name == "v1"][:_MOST_SIGNATURES]
        fits = [_same(expected, value) for value in given]
        return any(fits) and abs(now.timestamp() - int(times[0])) <= TOLERANCE.total_seconds()

    def sign(self, body: bytes, secret: Secret, message_id: str, now: datetime) -> dict[str, str]:
        signature = _hmac(secret, _seconds(now).encode() + b"." + body).hex()
        return {self._HEADER: f"t={_seconds(now)},v1={signature}"}


class Square(_ByToken):
    """HMAC-SHA256 of the address and the body in base64; no time is signed."""

    _HEADER = "x-square-hmacsha256-signature"

    def proves(self, received: Received, secret: Secret, now: datetime) -> bool:
        [expected] = self.sign(received.body, secret, "", now).values()
        return _same(expected, received.headers.get(self._HEADER, ""))

    def sign(self, body: bytes, secret: Secret, message_id: str, now: datetime) -> dict[str, str]:
        return {self._HEADER: base64.b64encode(_hmac(secret, secret.url.encode() + body)).decode()}


class Supabase(_ByToken):
    """Supabase's Database Webhooks sign nothing: a header that only the sender knows comes with each."""

    _HEADER = "x-webhook-secret"

    def proves(self, received: Received, secret: Secret, now: datetime) -> bool:
        return _same(secret.text, received.headers.get(self._HEADER, ""))

    def sign(self, body: bytes, secret: Secret, message_id: str, now: datetime) -> dict[str, str]:
        return {self._HEADER: secret.text}


KINDS: dict[Signature, Kind] = {
    Signature.standard: Standard(),
    Signature.stripe: Stripe(),
    Signature.square: Square(),
    Signature.supabase: Supabase(),
}
"""Of those that come over HTTP."""


def proved(kind: Kind, received: Received, held: Sequence[Secret], now: datetime) -> bool:
    """Whether any of the secrets has signed it."""
    fits = [kind.proves(received, secret, now) for secret in held]
    return any(fits)


def _hmac(secret: Secret, data: bytes) -> bytes:
    return hmac.digest(secret.text.encode(), data, hashlib.sha256)


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode(errors="surrogatepass"))


def _seconds(moment: datetime) -> str:
    return str(int(moment.timestamp()))

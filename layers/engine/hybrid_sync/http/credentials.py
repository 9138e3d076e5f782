"""What a request says of who sends it: a bearer in its Authorization header, or the cookie of a browser's session.

Names of headers come as the client wrote them.  A cookie is sent by a browser whoever made it send the request, so it
counts for a request that changes something only where the browser says that a page of ours made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hybrid_sync.dataclass import dataclass

COOKIE = "__Host-hybrid_sync"
"""Holds the access token of whoever has signed in; the prefix binds it to one host, and to TLS."""
_LOOKS = {"GET", "HEAD"}


@dataclass(frozen=True)
class Credential:
    """A text that may prove who sends it; `of_browser`: it came as a cookie."""

    text: str
    of_browser: bool


def credential(event: Mapping[str, Any]) -> Credential | None:
    """The one credential of a REQUEST event; None where there is none, or where several contradict each other.

    A header counts before a cookie, also where it proves nobody.
    """
    given = _values(event, "authorization")
    if given:
        scheme, _, text = given[0].strip().partition(" ")
        return Credential(text.strip(), False) if len(given) == 1 and scheme.lower() == "bearer" and text else None
    cookies = [text for name, text in _cookies(event) if name == COOKIE and text]
    if len(cookies) != 1 or not (
        event.get("httpMethod") in _LOOKS or _values(event, "sec-fetch-site") == ["same-origin"]
    ):
        return None
    return Credential(cookies[0], True)


def _values(event: Mapping[str, Any], header: str) -> list[str]:
    """Each value of a header, however it is written."""
    headers: Mapping[str, list[str]] = event.get("multiValueHeaders") or {}
    return [str(value) for name, values in headers.items() if name.lower() == header for value in values]


def _cookies(event: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values; RFC 6265, 4.2.1."""
    pairs = [pair.strip().partition("=") for line in _values(event, "cookie") for pair in line.split(";")]
    return [(name, value) for name, _, value in pairs]

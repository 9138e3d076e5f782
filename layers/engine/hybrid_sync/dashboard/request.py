"""A browser's request as this room needs it, and the answer that goes back."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import RequestRejected

LONGEST_FORM = 16_384
ROOT = "dashboard"
"""The first part of every path of ours, below the stage."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline and nothing of anybody else."""


@dataclass(frozen=True)
class Request:
    """One request; names of headers in lower case."""

    method: str
    parts: tuple[str, ...]
    """Of the path, behind ROOT."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    form: Mapping[str, str]
    source_ip: str
    request_id: str

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Request:
        """The request of an API Gateway event; RequestRejected for a form that is longer than any of ours."""
        headers = {str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()}
        context = event.get("requestContext") or {}
        body = str(event.get("body") or "")
        if len(body) > LONGEST_FORM:
            raise RequestRejected("The form is too long.", "Send what its page offers.")
        if event.get("isBase64Encoded"):
            body = base64.b64decode(body).decode("utf-8", "replace")
        pairs = [pair.strip().partition("=") for pair in headers.get("cookie", "").split(";")]
        return cls(
            method=str(event["httpMethod"]).upper(),
            parts=tuple(part for part in str(event["path"]).split("/") if part)[1:],
            query={str(k): str(v) for k, v in (event.get("queryStringParameters") or {}).items()},
            headers=headers,
            cookies={name: value for name, _, value in pairs if name},
            form={name: values[0] for name, values in parse_qs(body, keep_blank_values=True).items()},
            source_ip=str((context.get("identity") or {}).get("sourceIp", "")),
            request_id=str(context.get("requestId", "")),
        )

    @property
    def root(self) -> str:
        """The relative path from this page to the first one, right below whatever stage, host and prefix."""
        return "../" * (len(self.parts) - 1) or "./" if self.parts else f"{ROOT}/"

    @property
    def home(self) -> str:
        """The overview, seen from this page."""
        return f"{self.root}../{ROOT}" if self.parts else ROOT

    @property
    def is_update(self) -> bool:
        """A page that is open asks for what has changed in it."""
        return self.headers.get("hx-request") == "true"

    @property
    def wants_json(self) -> bool:
        """A program asks for what is behind the page."""
        return self.headers.get("accept", "").split(",")[0].split(";")[0].strip() == "application/json"

    @property
    def bearer(self) -> str:
        """The token that a program shows."""
        scheme, _, token = self.headers.get("authorization", "").strip().partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    @property
    def came_from_elsewhere(self) -> bool:
        """Whether a link on another site, or in a mail, led here: the browser then withholds cookies that are
        SameSite=Strict."""
        return self.headers.get("sec-fetch-site") == "cross-site"

    @property
    def is_of_our_page(self) -> bool:
        """The browser says that a page of this very host has sent it."""
        scheme, _, host = self.headers.get("origin", "").partition("://")
        return scheme in ("https", "http") and bool(host) and host == self.headers.get("host")


@dataclass(frozen=True)
class Answer:
    """What goes back; `cookies` are whole Set-Cookie lines."""

    body: str = ""
    status: HTTPStatus = HTTPStatus.OK
    kind: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: tuple[str, ...] = ()

    def response(self) -> dict[str, Any]:
        """As API Gateway takes it."""
        fixed = {
            "Content-Type": self.kind,
            "Cache-Control": "no-store",
            "Content-Security-Policy": POLICY,
            "Cross-Origin-Opener-Policy": "same-origin",
            # Not no-referrer: the browser would then hide the origin of our own forms.
            "Referrer-Policy": "same-origin",
            "Strict-Transport-Security": "max-age=31536000",
            "X-Content-Type-Options": "nosniff",
            "X-Robots-Tag": "noindex",
        }
        said = {"Set-Cookie": list(self.cookies)} if self.cookies else {}
        return {
            "statusCode": int(self.status), "headers": {**fixed, **self.headers}, "multiValueHeaders": said,
            "body": self.body,
        }  # fmt: skip


def redirect(to: str, *cookies: str) -> Answer:
    """See another page of the dashboard; relative, because only the browser knows the stage's prefix."""
    return Answer(status=HTTPStatus.SEE_OTHER, headers={"Location": to}, cookies=cookies)

"""Who looks: a token in a cookie that no script reads, proved at every request; and forms that only our pages send.

The CSRF token of a form is the HMAC of the form's purpose under the session's own token: whoever cannot read the cookie
cannot make it, and whoever reads the page learns nothing of the token.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from hybrid_sync.dashboard.request import Request
from hybrid_sync.errors import RequestForbidden
from hybrid_sync.services.roles import Role

SESSION = "__Host-hybrid_sync"
"""The prefix binds a cookie to this host, to TLS and to the whole path (RFC 6265bis, 4.1.3.2)."""
FORM = "__Host-hybrid_sync_form"
"""Of whoever has not signed in yet: random, so that the form of the sign-in page is nobody else's."""
SESSION_SECONDS = 12 * 3_600
_RULES = "; Path=/; HttpOnly; Secure; SameSite=Strict"


@dataclass(frozen=True)
class Visitor:
    """Somebody who has proved who they are; `token` is what their cookie holds."""

    name: str
    role: Role
    token: str

    @property
    def csrf(self) -> str:
        return csrf_of(self.token)


Prove = Callable[[str], Visitor | None]
"""Who a token proves; None where it proves nobody."""


def visitor(request: Request, prove: Prove) -> Visitor | None:
    """Who sends the request."""
    token = request.cookies.get(SESSION, "")
    return prove(token) if token else None


def csrf_of(secret: str) -> str:
    """What a form of this session carries."""
    return hmac.new(secret.encode(), b"hybrid-sync dashboard form", hashlib.sha256).hexdigest()


def require_our_form(request: Request, secret: str) -> None:
    """RequestForbidden unless a page of ours has sent the form, in this session."""
    given = request.form.get("csrf", "")
    if not (request.is_of_our_page and secret and hmac.compare_digest(given.encode(), csrf_of(secret).encode())):
        raise RequestForbidden("This form did not come from a page of this dashboard.", "Open the page again.")


def opened(token: str) -> tuple[str, ...]:
    """The cookies of whoever has signed in."""
    return (f"{SESSION}={token}; Max-Age={SESSION_SECONDS}{_RULES}", f"{FORM}=; Max-Age=0{_RULES}")


def closed() -> tuple[str, ...]:
    """The cookies of whoever has signed out."""
    return (f"{SESSION}=; Max-Age=0{_RULES}",)


def strange() -> tuple[str, str]:
    """A new secret for the sign-in form, and its cookie."""
    secret = secrets.token_urlsafe(24)
    return secret, f"{FORM}={secret}; Max-Age=3600{_RULES}"

"""Who looks: a token in a cookie that no script reads, proved at every request; and forms that only our pages send.

A session's secret stands in a cookie of its own.  The CSRF token of its forms is an HMAC under it, of who has signed
in: whoever cannot read the cookie cannot make it, and whoever reads a page learns neither the secret nor the token.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from hybrid_sync.dashboard.request import Request
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import RequestForbidden
from hybrid_sync.http.credentials import COOKIE
from hybrid_sync.services.roles import Role

RENEWAL = "__Host-hybrid_sync_renewal"
"""What Supabase Auth gives a new access token for; the prefix binds a cookie to this host, to TLS and to the whole path
(RFC 6265bis, 4.1.3.2)."""
FORM = "__Host-hybrid_sync_form"
SESSION_SECONDS = 12 * 3_600
_RULES = "; Path=/; HttpOnly; Secure; SameSite=Strict"


@dataclass(frozen=True)
class Visitor:
    """A person or token that has proved who it is."""

    name: str
    role: Role


@dataclass(frozen=True)
class Opened:
    """What opens a session; a service token has no renewal."""

    token: str
    renewal: str = ""
    factors: tuple[str, ...] = ()
    """Ids of the apps that may prove them a second time."""


def csrf_of(request: Request, who: Visitor | None) -> str:
    """What a form of this session carries; empty without a session, and then no form is taken."""
    secret = request.cookies.get(FORM, "")
    return _csrf(secret, who.name if who else "") if secret else ""


def _csrf(secret: str, name: str) -> str:
    return hmac.new(secret.encode(), f"hybrid-sync dashboard form\n{name}".encode(), hashlib.sha256).hexdigest()


def require_our_form(request: Request, who: Visitor | None) -> None:
    """RequestForbidden unless the form was sent by a page of this dashboard, in this session."""
    given, right = request.form.get("csrf", ""), csrf_of(request, who)
    if not (request.is_of_our_page and right and hmac.compare_digest(given.encode(), right.encode())):
        raise RequestForbidden("This form did not come from a page of this dashboard.", "Open the page again.")


def cookies_of(opened: Opened) -> tuple[str, ...]:
    """Cookies of a session that has just been opened or renewed."""
    renewal = f"{opened.renewal}; Max-Age={SESSION_SECONDS}" if opened.renewal else "; Max-Age=0"
    return (f"{COOKIE}={opened.token}; Max-Age={SESSION_SECONDS}{_RULES}", f"{RENEWAL}={renewal}{_RULES}")


def closed() -> tuple[str, ...]:
    """Cookies that end a session."""
    return tuple(f"{name}=; Max-Age=0{_RULES}" for name in (COOKIE, RENEWAL, FORM))


def new_form() -> tuple[str, str]:
    """A session's new secret, and its cookie: at the way in and again behind it, so that nobody brings one along."""
    secret = secrets.token_urlsafe(24)
    return secret, f"{FORM}={secret}; Max-Age={SESSION_SECONDS}{_RULES}"

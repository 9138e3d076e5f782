"""Signing in by a provider of the Supabase project: there and back by redirects with PKCE (RFC 7636).

What makes the code of the way back worth something is the verifier, which only the browser that left has: in a cookie
that no script reads, signed, for ten minutes.  It has to be lax, for the way back begins at somebody else's page.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import asdict
from urllib.parse import urlencode, urlsplit

from hybrid_sync.dashboard.request import ROOT, Request
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import RequestForbidden
from hybrid_sync.http.people import Project

COOKIE = "__Host-hybrid_sync_sign_in"
SECONDS = 600
BACK = "signed-in"
"""The page that the provider's redirect leads to."""
_RULES = "; Path=/; HttpOnly; Secure; SameSite=Lax"


@dataclass(frozen=True)
class PendingSignIn:
    """A sign-in that has begun: by a redirect (`state`, `verifier`), or waiting for a second factor (`token`,
    `factor`)."""

    until: float
    next: str = ""
    state: str = ""
    verifier: str = ""
    token: str = ""
    factor: str = ""


def redirect_to_provider(project: Project, request: Request, provider: str, now: float) -> tuple[str, str]:
    """The provider's address, and the cookie that the browser leaves with."""
    going = PendingSignIn(
        now + SECONDS, request.form.get("next", ""), secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    )  # fmt: skip
    asked = {
        "provider": provider, "redirect_to": f"{_back(request)}?state={going.state}",
        "code_challenge": challenge_of(going.verifier), "code_challenge_method": "s256",
    }  # fmt: skip
    return f"{project.issuer}/authorize?{urlencode(asked)}", cookie_of(project, going)


def challenge_of(verifier: str) -> str:
    """The code challenge of a verifier, by the method S256 (RFC 7636, 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def cookie_of(project: Project, going: PendingSignIn) -> str:
    """The Set-Cookie line that carries a sign-in under way, sealed by the deployment, for ten minutes."""
    body = base64.urlsafe_b64encode(json.dumps(asdict(going)).encode()).decode()
    return f"{COOKIE}={body}.{_signed(project, body)}; Max-Age={SECONDS}{_RULES}"


def expired_cookie() -> str:
    """The Set-Cookie line that removes it."""
    return f"{COOKIE}=; Max-Age=0{_RULES}"


def pending_of(project: Project, request: Request, now: float) -> PendingSignIn | None:
    """The sign-in that this browser has begun; None where there is none, its seal is wrong, or it took too long."""
    body, _, signature = request.cookies.get(COOKIE, "").partition(".")
    if not hmac.compare_digest(signature.encode(), _signed(project, body).encode()):
        return None
    try:
        going = PendingSignIn(**json.loads(base64.urlsafe_b64decode(body)))
    except (ValueError, TypeError, binascii.Error):  # of a release before
        return None
    return going if now < going.until else None


def _signed(project: Project, body: str) -> str:
    return hmac.new(project.seal, f"hybrid-sync sign-in\n{body}".encode(), hashlib.sha256).hexdigest()


def _back(request: Request) -> str:
    """Beside the sign-in page as the browser sees it, whatever stage and prefix stand before; RequestForbidden where it
    does not say so, or another host does."""
    page = urlsplit(request.headers.get("referer", ""))
    ours = f"{page.scheme}://{page.netloc}" == request.headers.get("origin") and page.netloc == request.headers.get(
        "host"
    )
    safe = page.scheme == "https" or page.hostname in ("127.0.0.1", "localhost")
    if not (ours and safe and page.path.endswith(f"/{ROOT}/sign-in")):
        raise RequestForbidden("The browser does not say which page it comes from.", "Open the sign-in page again.")
    return f"{page.scheme}://{page.netloc}{page.path.removesuffix('sign-in')}{BACK}"

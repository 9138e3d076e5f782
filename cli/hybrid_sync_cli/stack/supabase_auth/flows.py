"""Ways in besides a password: a provider's redirect with PKCE, and the six digits of an app as a second factor.

The provider is a page that asks nobody for anything: whoever tries the stack chooses who they are.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

from hybrid_sync_cli.stack.supabase_auth.accounts import Accounts, User

CODE_SECONDS = 300
_CHALLENGE = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_ALLOWED = re.compile(r"http://127\.0\.0\.1(:\d+)?/.*")
"""Where a redirect may lead: the list that a project keeps ("Redirect URLs")."""
Redirect = tuple[int, str, str]
"""Status, place, HTML."""


@dataclass
class Flow:
    """Somebody who has been sent here."""

    challenge: str
    back: str
    began: float
    email: str = ""


class Flows:
    """Those that are under way; they end with the process."""

    def __init__(self) -> None:
        self._begun: dict[str, Flow] = {}
        self._codes: dict[str, Flow] = {}
        self._challenges: dict[str, str] = {}
        """Challenge of a second factor -> factor."""

    def authorize(self, query: Mapping[str, list[str]], users: Mapping[str, User]) -> Redirect:
        """`GET /authorize`: the provider's own page."""
        given = {name: values[0] for name, values in query.items()}
        challenge, back = given.get("code_challenge", ""), given.get("redirect_to", "")
        method = given.get("code_challenge_method", "").lower()
        if not (method == "s256" and _CHALLENGE.fullmatch(challenge) and _ALLOWED.fullmatch(back)):
            return 400, "", "<p>No redirect with PKCE to a place that is allowed."
        flow = secrets.token_urlsafe(12)
        self._begun[flow] = Flow(challenge, back, time.time())
        links = "".join(
            f'<p><a href="authorized?flow={flow}&amp;email={escape(email)}">{escape(email)}</a>' for email in users
        )
        name, head = escape(given.get("provider", "")), '<!doctype html><html lang="en"><link rel="icon" href="data:,">'
        return 200, "", f"{head}<title>{name}</title><h1>{name}</h1>{links}"

    def authorized(self, query: Mapping[str, list[str]]) -> Redirect:
        """Somebody was chosen: back, with a code beside whatever stands in the address already."""
        flow = self._begun.pop((query.get("flow") or [""])[0], None)
        if flow is None:
            return 400, "", "<p>Nobody has been sent here."
        flow.email = (query.get("email") or [""])[0]
        code = secrets.token_hex(16)
        self._codes[code] = flow
        place = urlsplit(flow.back)
        asked = urlencode([*parse_qsl(place.query), ("code", code)])
        return 302, place._replace(query=asked, fragment="").geturl(), ""

    def exchanged(self, code: str, verifier: str) -> str | None:
        """Whose code it is; it serves once, for five minutes, and for whoever holds the challenge's verifier."""
        flow = self._codes.pop(code, None)
        if flow is None or time.time() - flow.began > CODE_SECONDS:
            return None
        made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        return flow.email if hmac.compare_digest(made, flow.challenge) else None

    def challenged(self, factor: str) -> str:
        """A challenge of that factor."""
        challenge = secrets.token_hex(16)
        self._challenges[challenge] = factor
        return challenge

    def proved(self, accounts: Accounts, factor: str, challenge: str, code: str) -> bool:
        """Whether the code is what the factor's app shows; a challenge serves once."""
        owner = next((user for user in accounts.users.values() if user.totp and factor_of(user) == factor), None)
        if owner is None or self._challenges.pop(challenge, "") != factor:
            return False
        return hmac.compare_digest(totp(owner.totp, time.time()).encode(), code.encode())


def factor_of(user: User) -> str:
    """The id of the user's one factor."""
    return f"{user.user_id[:-1]}f"


def totp(secret: str, at: float) -> str:
    """What an app shows (RFC 6238: 30 seconds, SHA-1, six digits)."""
    digest = hmac.new(secret.encode(), int(at // 30).to_bytes(8, "big"), hashlib.sha1).digest()
    start = digest[-1] & 15
    return f"{(int.from_bytes(digest[start : start + 4], 'big') & 0x7FFFFFFF) % 10**6:06}"

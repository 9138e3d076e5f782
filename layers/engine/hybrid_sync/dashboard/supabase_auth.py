"""Signing in by Supabase Auth: e-mail and password go from our function to the project, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

from hybrid_sync.dashboard.session import Opened
from hybrid_sync.errors import SyncError

Send = Callable[[str, dict[str, str], bytes], tuple[int, bytes]]
"""Address, headers and body of a POST -> status and body; OSError or BotoCoreError where nobody answers."""
_REFUSALS = {
    HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND,
    HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.TOO_MANY_REQUESTS,
}  # fmt: skip


class SignInUnavailable(SyncError):
    """Supabase Auth does not answer, so nobody can sign in; it is no refusal."""

    code = "sign_in_unavailable"
    transient = True


def posted(url: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    """Redirects are not followed: a password goes to one address."""
    session = URLLib3Session(timeout=(2, 5), max_pool_connections=1)
    try:
        answer = session.send(AWSRequest("POST", url, headers=headers, data=body).prepare())
        return int(answer.status_code), bytes(answer.content)
    finally:
        session.close()


class SupabaseAuth:
    """One project's; `key` is its public (anon) one, which its gateway asks for."""

    def __init__(self, project_url: str, key: str, send: Send = posted) -> None:
        self._base = f"{project_url}/auth/v1"
        self._key = key
        self._send = send

    def by_password(self, email: str, password: str) -> Opened | None:
        """None where the project does not accept them; SignInUnavailable where it does not answer."""
        return self._ask("password", {"email": email, "password": password})

    def by_renewal(self, renewal: str) -> Opened | None:
        """A new access token; None where the session is over."""
        return self._ask("refresh_token", {"refresh_token": renewal})

    def by_code(self, code: str, verifier: str) -> Opened | None:
        """Exchange the code with which a provider sent a person back; it works once, and only with the verifier."""
        return self._ask("pkce", {"auth_code": code, "code_verifier": verifier})

    def by_second_factor(self, token: str, factor: str, code: str) -> Opened | None:
        """A session of two factors for one of one; `code` is what the app shows now."""
        place, bearer = f"{self._base}/factors/{factor}", {"Authorization": f"Bearer {token}"}
        challenge = self._post(f"{place}/challenge", {}, bearer)
        if challenge is None:
            return None
        given = {"challenge_id": str(challenge.get("id")), "code": code}
        return _opened(self._post(f"{place}/verify", given, bearer))

    def _ask(self, grant: str, given: dict[str, str]) -> Opened | None:
        return _opened(self._post(f"{self._base}/token?grant_type={grant}", given, {}))

    def _post(self, url: str, given: dict[str, str], more: dict[str, str]) -> dict[str, Any] | None:
        """What it answers; None where it refuses."""
        headers = {"Content-Type": "application/json", **({"apikey": self._key} if self._key else {}), **more}
        try:
            status, content = self._send(url, headers, json.dumps(given).encode())
            found: Any = json.loads(content) if status == HTTPStatus.OK else None
        except (OSError, ValueError, BotoCoreError):
            status, found = 0, None
        if status in _REFUSALS:
            return None
        if not isinstance(found, dict):
            raise _away()
        return found


def _opened(found: dict[str, Any] | None) -> Opened | None:
    if found is None:
        return None
    if not found.get("access_token"):
        raise _away()
    user = found.get("user")
    factors = user.get("factors") if isinstance(user, dict) else None
    proved = tuple(
        str(one.get("id"))
        for one in factors or ()
        if (one.get("factor_type"), one.get("status")) == ("totp", "verified")
    )
    return Opened(str(found["access_token"]), str(found.get("refresh_token") or ""), proved)


def _away() -> SignInUnavailable:
    return SignInUnavailable("Supabase Auth does not answer.", "Try again, or sign in by a service token.")

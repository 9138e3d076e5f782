"""The stand-in's process: signing in by password, staying signed in, and the key set, as a hosted project answers them.

Run as `python -m hybrid_sync_cli.stack.supabase_auth.server PORT FOLDER PROJECT_URL`.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import sys
import time
import uuid
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt

from hybrid_sync_cli.stack.supabase_auth.accounts import Accounts, User
from hybrid_sync_cli.stack.supabase_auth.flows import Flows, Redirect, factor_of
from hybrid_sync_cli.stack.supabase_auth.keys import key_set

TOKEN_SECONDS = 3_600
_FACTOR = re.compile(r"/factors/(?P<factor>[0-9a-f-]{36})/(?P<step>challenge|verify)")
_LONGEST_BODY = 65_536
_ANYWHERE = {
    "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*", "Access-Control-Allow-Methods": "*",
}  # fmt: skip
Answer = tuple[int, dict[str, Any]]


class Auth:
    """Sessions of one project; they end with the process."""

    def __init__(self, folder: Path, project_url: str) -> None:
        self._folder = folder
        self._issuer = f"{project_url}/auth/v1"
        self._sessions: dict[str, tuple[str, str]] = {}
        """Refresh token -> e-mail, session."""
        self.flows = Flows()
        self._by_two: set[str] = set()
        """Sessions that a second factor has proved."""

    def page(self, path: str, query: Mapping[str, list[str]]) -> Redirect | None:
        """What a browser is shown; None where that is for programs."""
        if path == "/authorize":
            return self.flows.authorize(query, Accounts(self._folder).users)
        return self.flows.authorized(query) if path == "/authorized" else None

    def answer(
        self, method: str, path: str, query: Mapping[str, list[str]], body: dict[str, Any], bearer: str = ""
    ) -> Answer:
        """Status and JSON of a request."""
        accounts = Accounts(self._folder)
        if (method, path) == ("GET", "/.well-known/jwks.json"):
            return 200, key_set(accounts.keys)
        if (method, path) == ("POST", "/token"):
            grant = (query.get("grant_type") or [""])[0]
            if grant == "password":
                return self._by_password(accounts, body)
            if grant == "refresh_token":
                return self._by_refresh(accounts, body)
            if grant == "pkce":
                return self._by_code(accounts, body)
            return _refused("unsupported_grant_type", "unsupported_grant_type")
        if method == "POST" and (found := _FACTOR.fullmatch(path)):
            return self._second(accounts, found["factor"], found["step"], body, bearer)
        return 404, {"code": 404, "error_code": "not_found", "msg": "Not found"}

    def _by_password(self, accounts: Accounts, body: dict[str, Any]) -> Answer:
        user = accounts.users.get(str(body.get("email")))
        password = str(body.get("password")).encode()
        if user is None or not hmac.compare_digest(user.password.encode(), password):
            return _refused("invalid_credentials", "Invalid login credentials")
        return self._session(accounts, user, str(uuid.uuid4()))

    def _by_refresh(self, accounts: Accounts, body: dict[str, Any]) -> Answer:
        """Each refresh token serves once."""
        email, session = self._sessions.pop(str(body.get("refresh_token")), ("", ""))
        if email not in accounts.users:
            return _refused("refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
        return self._session(accounts, accounts.users[email], session)

    def _by_code(self, accounts: Accounts, body: dict[str, Any]) -> Answer:
        email = self.flows.exchanged(str(body.get("auth_code")), str(body.get("code_verifier")))
        if email not in accounts.users:
            return _refused("bad_code_verifier", "code challenge does not match previously saved code verifier")
        return self._session(accounts, accounts.users[email], str(uuid.uuid4()))

    def _second(self, accounts: Accounts, factor: str, step: str, body: dict[str, Any], bearer: str) -> Answer:
        """A factor is challenged, and verified, by whoever has its user's token."""
        unproven = jwt.decode(bearer, options={"verify_signature": False}) if bearer else {}
        user = accounts.users.get(str(unproven.get("email")))
        if user is None or not user.totp or factor_of(user) != factor:
            return _refused("mfa_factor_not_found", "Factor not found")
        if step == "challenge":
            return 200, {"id": self.flows.challenged(factor), "type": "totp", "expires_at": int(time.time()) + 300}
        if not self.flows.proved(accounts, factor, str(body.get("challenge_id")), str(body.get("code"))):
            return 422, {"code": 422, "error_code": "mfa_verification_failed", "msg": "Invalid TOTP code entered"}
        self._by_two.add(str(unproven["session_id"]))
        return self._session(accounts, user, str(unproven["session_id"]))

    def _session(self, accounts: Accounts, user: User, session: str) -> Answer:
        if user.banned:
            return _refused("user_banned", "User is banned")
        now = int(time.time())
        refresh = secrets.token_urlsafe(12)
        self._sessions[refresh] = (user.email, session)
        return 200, {
            "access_token": accounts.keys[0].sign(
                claims(user, self._issuer, now, session) | ({"aal": "aal2"} if session in self._by_two else {})
            ),
            "token_type": "bearer",  # nosec B105 - the scheme
            "expires_in": TOKEN_SECONDS, "expires_at": now + TOKEN_SECONDS,
            "refresh_token": refresh,
            "user": {
                "id": user.user_id, "aud": "authenticated", "role": "authenticated", "email": user.email,
                "app_metadata": user.app_metadata, "user_metadata": user.user_metadata,
                "factors": [{"id": factor_of(user), "factor_type": "totp", "status": "verified"}] if user.totp else [],
            },
        }  # fmt: skip


def claims(user: User, issuer: str, now: int, session: str = "") -> dict[str, Any]:
    """Of an access token ("JWT Claims Reference")."""
    return {
        "iss": issuer, "aud": "authenticated", "sub": user.user_id, "iat": now, "exp": now + TOKEN_SECONDS,
        "role": "authenticated", "aal": "aal1", "session_id": session or str(uuid.uuid4()), "email": user.email,
        "phone": "", "is_anonymous": False, "app_metadata": user.app_metadata, "user_metadata": user.user_metadata,
        "amr": [{"method": "password", "timestamp": now}],
    }  # fmt: skip


def _refused(code: str, text: str) -> Answer:
    return 400, {"code": 400, "error_code": code, "msg": text}


def handler(auth: Auth) -> type[BaseHTTPRequestHandler]:
    """What serves one connection of it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = parse_qs(url.query)
            if shown := auth.page(url.path, query):
                self._show(*shown)
                return
            bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
            self._send(*auth.answer(self.command, url.path, query, self._body(), bearer))

        do_POST = do_GET  # noqa: N815 - http.server's names

        def do_OPTIONS(self) -> None:
            """A page of any origin may sign in."""
            self._send(200, {})

        def _body(self) -> dict[str, Any]:
            size = min(int(self.headers.get("Content-Length") or 0), _LONGEST_BODY)
            try:
                found = json.loads(self.rfile.read(size) or b"{}")
            except ValueError:
                return {}
            return found if isinstance(found, dict) else {}

        def _show(self, status: int, place: str, html: str) -> None:
            content = html.encode()
            self.send_response_only(status)
            if place:
                self.send_header("Location", place)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _send(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response_only(status)
            for name, value in {**_ANYWHERE, "Content-Type": "application/json", "Cache-Control": "no-store"}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: bodies and answers are secrets."""

    return Handler


def main() -> None:
    port, folder, project_url = sys.argv[1:]
    serve = handler(Auth(Path(folder), project_url))
    ThreadingHTTPServer(("127.0.0.1", int(port)), serve).serve_forever()


if __name__ == "__main__":
    main()

"""Who is let in over HTTP, on the deployed stack: what is wrong is 401 or 403 without a word, and starts nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives import serialization

from hybrid_sync.http.credentials import COOKIE
from hybrid_sync.http.endpoints import ENDPOINTS
from hybrid_sync.http.scopes import OF_ROLE, SCOPES
from hybrid_sync.http.tokens import Tokens
from hybrid_sync.services.roles import Role
from hybrid_sync_cli.stack import Stack, home
from hybrid_sync_cli.stack.supabase_auth.accounts import Accounts
from hybrid_sync_cli.stack.supabase_auth.keys import Key
from hybrid_sync_cli.stack.supabase_auth.server import claims

NOBODY, FORBIDDEN = 401, 403
# Of a problem, all that tells one refusal from another.
CODES = {NOBODY: "unauthorized", FORBIDDEN: "access_denied"}


@dataclass
class Door:
    """The deployed API from outside, and what a person or program could hold to open it."""

    stack: Stack
    accounts: Accounts
    tokens: Tokens

    def ask(self, method: str, path: str, body: bytes = b"{}", **headers: str) -> tuple[int, dict[str, Any]]:
        """Status and body; `_` in a header's name stands for `-`."""
        return _asked(self.stack.api_url, method, path, body, {n.replace("_", "-"): v for n, v in headers.items()})

    def bearer(self, method: str, path: str, credential: str) -> tuple[int, dict[str, Any]]:
        return self.ask(method, path, Authorization=f"Bearer {credential}")

    def claims(self, role: str = "operator", **other: Any) -> dict[str, Any]:
        """Of a token that one of the stack's users has just got; `other` says more, or otherwise."""
        user = self.accounts.users[f"{role}@example.test"]
        return {**claims(user, f"{self.stack.project_url}/auth/v1", int(time.time())), **other}

    def signed(self, role: str = "operator", key: Key | None = None, **other: Any) -> str:
        return (key or self.accounts.keys[0]).sign(self.claims(role, **other))

    def key(self, algorithm: str) -> Key:
        return next(key for key in self.accounts.keys if key.algorithm == algorithm)

    def sign_in(self, **body: str) -> tuple[int, dict[str, Any]]:
        """As a client of Supabase Auth does."""
        grant = "refresh_token" if "refresh_token" in body else "password"
        return _asked(
            f"{self.stack.project_url}/auth/v1", "POST", f"/token?grant_type={grant}", json.dumps(body).encode(), {}
        )

    def done(self) -> tuple[int, int]:
        """How many executions and jobs there have ever been."""
        machine = self.stack.outputs["StateMachineArn"]
        runs = self.stack.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
        table = _control_table(self.stack)
        items = self.stack.client("dynamodb").scan(TableName=table)["Items"]
        return len(runs), sum(item["pk"]["S"].startswith("job/") for item in items)


def _asked(base: str, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    url = urlsplit(base)
    connection = http.client.HTTPConnection(url.netloc, timeout=60)
    try:
        connection.request(method, url.path + path, body, headers)
        answer = connection.getresponse()
        told = answer.read()
        return answer.status, json.loads(told or b"{}") if "json" in answer.getheader("Content-Type", "json") else {}
    finally:
        connection.close()


def _control_table(stack: Stack) -> str:
    names: list[str] = stack.client("dynamodb").list_tables()["TableNames"]
    [found] = [name for name in names if "ControlTable" in name]
    return found


@pytest.fixture(scope="module")
def door(deployed: Stack) -> Door:
    return Door(deployed, Accounts(home.directory()), Tokens(_control_table(deployed), deployed.client("dynamodb")))


def _revoked(door: Door) -> str:
    token, readable = door.tokens.create("revoked")
    door.tokens.revoke(token.token_id)
    return readable


def _rotated_away(door: Door) -> str:
    token, readable = door.tokens.create("rotated")
    door.tokens.rotate(token.token_id, overlap_hours=0)
    return readable


def _confused(door: Door) -> str:
    """The public key of RS256, as everybody can read it, used as the secret of HS256."""
    private = serialization.load_pem_private_key(door.key("RS256").secret.encode(), None)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = ".".join(_part(p) for p in ({"alg": "HS256", "kid": door.key("RS256").key_id}, door.claims("admin")))
    return f"{signed}.{_encoded(hmac.new(public, signed.encode(), hashlib.sha256).digest())}"


def _none(door: Door) -> str:
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(door.claims('admin'))}."


def _tampered(door: Door) -> str:
    header, _, signature = door.signed("viewer").split(".")
    return f"{header}.{_part(door.claims('admin'))}.{signature}"


def _part(value: dict[str, Any]) -> str:
    return _encoded(json.dumps(value).encode())


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


NOW = int(time.time())
WRONG: dict[str, tuple[int, Callable[[Door], dict[str, str]]]] = {
    "nothing": (NOBODY, lambda d: {}),
    "an empty header": (NOBODY, lambda d: {"Authorization": ""}),
    "another scheme": (NOBODY, lambda d: {"Authorization": "Basic dXNlcjpwYXNz"}),
    **{
        name: (status, lambda d, made=made: {"Authorization": f"Bearer {made(d)}"})  # type: ignore[misc]
        for name, (status, made) in {
            "nonsense": (NOBODY, lambda d: "nonsense"),
            "an unknown token": (NOBODY, lambda d: f"hs_{'a' * 12}_{'b' * 43}"),
            "a known token's id with another secret": (
                NOBODY, lambda d: f"hs_{d.tokens.create('x')[0].token_id}_{'b' * 43}",
            ),
            "a revoked token": (NOBODY, _revoked),
            "a secret that was rotated away": (NOBODY, _rotated_away),
            "a token of another scope": (FORBIDDEN, lambda d: d.tokens.create("x", ("syncs:read",))[1]),
            "an expired JWT": (NOBODY, lambda d: d.signed(iat=NOW - 4_000, exp=NOW - 60)),
            "a JWT of another issuer": (NOBODY, lambda d: d.signed(iss="https://other.supabase.co/auth/v1")),
            "a JWT for another audience": (NOBODY, lambda d: d.signed(aud="anon")),
            "a JWT without a role": (NOBODY, lambda d: d.signed("visitor")),
            "a JWT with a role that its user wrote": (
                NOBODY, lambda d: d.signed("visitor", user_metadata={"hybrid_sync_role": "admin"}),
            ),
            "a JWT of a role that only looks": (FORBIDDEN, lambda d: d.signed("viewer")),
            "a JWT by another key": (NOBODY, lambda d: d.signed(key=Key.new("ES256"))),
            "a JWT by another key under a known id": (
                NOBODY, lambda d: Key.new("ES256").sign(d.claims(), kid=d.key("ES256").key_id),
            ),
            "a tampered JWT": (NOBODY, _tampered),
            "alg none": (NOBODY, _none),
            "key confusion": (NOBODY, _confused),
            "kid injection": (NOBODY, lambda d: d.key("ES256").sign(d.claims(), kid="../../../../dev/null")),
            "a key set of its own": (
                NOBODY, lambda d: Key.new("ES256").sign(d.claims(), jku="https://evil.test/jwks.json"),
            ),
            "the project's service key": (NOBODY, lambda d: d.stack.supabase_service_key or "none"),
        }.items()
    },
    "a cookie from another page": (
        NOBODY, lambda d: {"Cookie": f"{COOKIE}={d.signed()}", "Sec_Fetch_Site": "cross-site"},
    ),
    "a cookie of which no browser says whence": (NOBODY, lambda d: {"Cookie": f"{COOKIE}={d.signed()}"}),
    "a service token as a cookie": (
        NOBODY, lambda d: {"Cookie": f"{COOKIE}={d.tokens.create('x')[1]}", "Sec_Fetch_Site": "same-origin"},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def answers(door: Door) -> dict[str, Any]:
    """What the trigger said to each wrong credential; and in `started`, what there was before and after."""
    body = json.dumps({"entities": ["offices"], "priority": "critical"}).encode()
    before = door.done()
    said: dict[str, Any] = {
        name: door.ask("POST", "/v1/syncs", body, **made(door)) for name, (_, made) in WRONG.items()
    }
    return {**said, "started": (before, door.done())}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_credential_is_refused_without_a_word(answers: dict[str, Any], name: str) -> None:
    status, _ = WRONG[name]
    told = dict(answers[name][1])
    assert (answers[name][0], told.pop("code")) == (status, CODES[status])
    # The same words for each of them, but for the request's own id.
    others = [answers[other][1] for other in WRONG if WRONG[other][0] == status]
    assert all(told | {"instance": 0} == {k: v for k, v in o.items() if k != "code"} | {"instance": 0} for o in others)


def test_and_nothing_was_started(answers: dict[str, Any]) -> None:
    before, after = answers["started"]
    assert after == before


GUARDED = [endpoint for endpoint in ENDPOINTS if endpoint.scope]


def _path(path: str) -> str:
    """With something in place of its parameters that is not there."""
    return "/".join("nothing" if part.startswith("{") else part for part in path.split("/"))


@pytest.fixture(scope="module")
def holders(door: Door) -> dict[str, tuple[tuple[str, ...], str]]:
    """Whoever may ask: scopes and credential, a token of each scope and a person of each role."""
    made = {scope: ((scope,), door.tokens.create(scope, (scope,))[1]) for scope in SCOPES}
    return made | {role.name: (OF_ROLE[role], door.signed(role.name)) for role in Role}


@pytest.mark.parametrize("holder", [*SCOPES, *(role.name for role in Role)])
def test_each_route_opens_to_its_scope_and_to_no_other(
    door: Door, holders: dict[str, tuple[tuple[str, ...], str]], holder: str
) -> None:
    scopes, credential = holders[holder]
    said = {(e.method, e.path): door.bearer(e.method, _path(e.path), credential)[0] for e in GUARDED}
    closed = {route for route, status in said.items() if status in (NOBODY, FORBIDDEN)}
    assert closed == {(e.method, e.path) for e in GUARDED if e.scope not in scopes}
    assert not [route for route, status in said.items() if status >= 500]


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "HS256"])
def test_somebody_signs_in_stays_signed_in_and_is_let_in_whatever_the_project_signs_with(
    door: Door, algorithm: str
) -> None:
    door.accounts.sign_with(algorithm)
    user = door.accounts.users["operator@example.test"]
    status, session = door.sign_in(email=user.email, password=user.password)
    assert status == 200
    again = door.sign_in(refresh_token=session["refresh_token"])[1]
    for one in (session, again):
        assert door.bearer("GET", "/v1/syncs/nothing", one["access_token"])[0] == 404
    assert door.sign_in(refresh_token=session["refresh_token"])[0] == 400, "a refresh token serves once"
    door.accounts.sign_with("ES256")


def test_a_page_of_ours_may_use_its_cookie(door: Door) -> None:
    cookie = f"{COOKIE}={door.signed()}"
    assert door.ask("GET", "/v1/syncs/nothing", Cookie=cookie)[0] == 404
    said = door.ask("POST", "/v1/syncs", b"[]", Cookie=f"other=1; {cookie}", Sec_Fetch_Site="same-origin")
    assert said[0] == 422


def test_a_banned_user_gets_no_further_token(door: Door) -> None:
    user = door.accounts.users["viewer@example.test"]
    session = door.sign_in(email=user.email, password=user.password)[1]
    door.accounts.ban(user.email)
    try:
        assert door.sign_in(email=user.email, password=user.password)[1]["error_code"] == "user_banned"
        assert door.sign_in(refresh_token=session["refresh_token"])[1]["error_code"] == "user_banned"
    finally:
        door.accounts.ban(user.email, banned=False)
    assert door.sign_in(email=user.email, password=secrets.token_hex(8))[1]["error_code"] == "invalid_credentials"


def test_what_is_revoked_opens_nothing_from_that_moment_on(door: Door) -> None:
    token, readable = door.tokens.create("short-lived")
    assert door.bearer("GET", "/v1/syncs/nothing", readable)[0] == 404
    door.tokens.revoke(token.token_id)
    assert door.bearer("GET", "/v1/syncs/nothing", readable)[0] == NOBODY

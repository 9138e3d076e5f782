"""Access tokens of Supabase Auth: each way to forge one, and each that is none of ours, proves nobody."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.http.jwks import GRACE_SECONDS, KEPT_SECONDS, PAUSE_SECONDS, Jwks, KeysUnavailable
from hybrid_sync.http.people import OLDEST_SECONDS, People, Project, Refused
from hybrid_sync.services.roles import Role
from hybrid_sync_cli.stack.supabase_auth.keys import Key, key_set
from tests.unit.signing import ES256, HS256, RS256, FakeProject, served

NOW = int(time.time())


@pytest.fixture(scope="module")
def address() -> Iterator[FakeProject]:
    with served() as made:
        yield made


@pytest.fixture
def project(address: FakeProject) -> FakeProject:
    """As it was, and nobody has asked it yet."""
    address.__init__(address.url)  # type: ignore[misc]
    return address


def refusal(project: FakeProject, token: str) -> str:
    """Why the token proves nobody."""
    with pytest.raises(Refused) as refused:
        project.people().check(token)
    return str(refused.value)


@pytest.mark.parametrize("key", [ES256, RS256, HS256], ids=lambda key: key.algorithm)
@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_whoever_has_signed_in_with_a_role_is_let_in_as_that(project: FakeProject, key: Key, role: str) -> None:
    given = project.claims(role)

    person = project.people().check(key.sign(given))

    assert (person.name, person.role) == (f"user:{given['sub']}", Role[role])


FORGED: dict[str, tuple[str, Callable[[FakeProject], str]]] = {
    "none": ("algorithm", lambda p: raw(p, {"alg": "none"}, b"")),
    "none in capitals": ("algorithm", lambda p: raw(p, {"alg": "None"}, b"")),
    "none with a key id": ("algorithm", lambda p: raw(p, {"alg": "none", "kid": ES256.key_id}, b"")),
    "no algorithm": ("algorithm", lambda p: raw(p, {"kid": ES256.key_id}, b"")),
    "another's key": ("key", lambda p: Key.new("ES256").sign(p.claims())),
    "another's key under a known id": (
        "InvalidSignatureError", lambda p: Key.new("ES256").sign(p.claims(), kid=ES256.key_id),
    ),
    "another's secret": ("InvalidSignatureError", lambda p: Key.new("HS256").sign(p.claims())),
    "the public key as a secret": ("InvalidSignatureError", lambda p: confused(p, pem(RS256))),
    "the shown key as a secret": ("InvalidSignatureError", lambda p: confused(p, json.dumps(RS256.public()).encode())),
    "one key's algorithm with another key": ("key", lambda p: ES256.sign(p.claims(), kid=RS256.key_id)),
    "no key id": ("algorithm", lambda p: raw(p, {"alg": "ES256"}, b"x" * 64)),
    "a path as key id": ("key_id", lambda p: ES256.sign(p.claims(), kid="../../dev/null")),
    "SQL as key id": ("key_id", lambda p: ES256.sign(p.claims(), kid="x' union select 'secret")),
    "an address as key id": ("key_id", lambda p: ES256.sign(p.claims(), kid="https://evil.test/key")),
    "jku": ("header", lambda p: ES256.sign(p.claims(), jku="https://evil.test/jwks.json")),
    "x5u": ("header", lambda p: ES256.sign(p.claims(), x5u="https://evil.test/cert.pem")),
    "jwk": ("header", lambda p: ES256.sign(p.claims(), jwk=ES256.public())),
    "crit": ("InvalidTokenError", lambda p: raw(p, head(ES256) | {"crit": ["exp"], "exp": 1}, b"x")),
    "another type": ("header", lambda p: ES256.sign(p.claims(), typ="logout+jwt")),
    "ES384": ("algorithm", lambda p: raw(p, {"alg": "ES384", "kid": ES256.key_id}, b"x" * 96)),
    "HS512": ("algorithm", lambda p: raw(p, {"alg": "HS512"}, b"x" * 64)),
    "changed afterwards": (
        "InvalidSignatureError", lambda p: tampered(ES256.sign(p.claims("viewer")), p.claims("admin")),
    ),
    "without its signature": ("InvalidSignatureError", lambda p: ES256.sign(p.claims()).rpartition(".")[0] + "."),
    "with an empty ECDSA signature": ("InvalidSignatureError", lambda p: raw(p, head(ES256), bytes(64))),
    "too long": ("no_token", lambda p: ES256.sign(p.claims(padding="x" * 9_000))),
    "no token": ("DecodeError", lambda p: "a.b.c"),
    "nothing": ("DecodeError", lambda p: ""),
    "half a letter": ("no_token", lambda p: "\ud83d.a.b"),
    "too deep": ("DecodeError", lambda p: f"{_part(b'[' * 5_000)}.e30.eA"),
    "a list as header": ("DecodeError", lambda p: f"{_part(b'[]')}.e30.eA"),
    "a list as algorithm": ("algorithm", lambda p: raw(p, {"alg": ["ES256"], "kid": ES256.key_id}, b"x" * 64)),
}  # fmt: skip


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_token_proves_nobody(project: FakeProject, how: str) -> None:
    why, forge = FORGED[how]
    assert refusal(project, forge(project)) == why


CLAIMS: dict[str, tuple[str, dict[str, Any]]] = {
    "expired": ("ExpiredSignatureError", {"iat": NOW - 4_000, "exp": NOW - 60}),
    "just expired": ("ExpiredSignatureError", {"iat": NOW - 600, "exp": NOW - 30}),
    "without an end": ("MissingRequiredClaimError", {"exp": None}),
    "without a beginning": ("MissingRequiredClaimError", {"iat": None}),
    "of tomorrow": ("ImmatureSignatureError", {"iat": NOW + 3_600, "exp": NOW + 7_200}),
    "not yet": ("ImmatureSignatureError", {"nbf": NOW + 3_600}),
    "valid for a year": ("too_old", {"iat": NOW - OLDEST_SECONDS - 60, "exp": NOW + 31_536_000}),
    "of another project": ("InvalidIssuerError", {"iss": "https://other.supabase.co/auth/v1"}),
    "of the project itself": ("InvalidIssuerError", {"iss": "supabase"}),
    "of nobody": ("MissingRequiredClaimError", {"iss": None}),
    "without an end of time": ("DecodeError", {"exp": float("inf")}),
    "for somebody else": ("InvalidAudienceError", {"aud": "anon"}),
    "for nobody": ("MissingRequiredClaimError", {"aud": None}),
    "of the service role": ("not_a_person", {"role": "service_role"}),
    "anonymous": ("not_a_person", {"is_anonymous": True}),
    "of nobody by id": ("subject", {"sub": "admin"}),
    "without a role": ("role", {"app_metadata": {"provider": "email"}}),
    "with the role of an application": ("role", {"app_metadata": {"role": "admin"}}),
    "with a role that the user wrote": ("role", {"app_metadata": {}, "user_metadata": {"hybrid_sync_role": "admin"}}),
    "with an unknown role": ("role", {"app_metadata": {"hybrid_sync_role": "owner"}}),
    "with a number as role": ("role", {"app_metadata": {"hybrid_sync_role": 3}}),
    "with a list of roles": ("role", {"app_metadata": {"hybrid_sync_role": ["admin"]}}),
    "with no metadata": ("role", {"app_metadata": "admin"}),
}  # fmt: skip


@pytest.mark.parametrize("how", CLAIMS)
def test_a_token_that_is_none_of_ours_lets_nobody_in(project: FakeProject, how: str) -> None:
    why, other = CLAIMS[how]
    assert refusal(project, ES256.sign(project.claims(**other))) == why


def test_a_token_that_was_damaged_proves_nobody_and_breaks_nothing(project: FakeProject) -> None:
    people, luck, good = project.people(), random.Random(7), ES256.sign(project.claims())
    for _ in range(1_000):
        damaged = list(good)
        for _ in range(luck.randint(1, 6)):
            at = luck.randrange(len(damaged))
            damaged[at : at + luck.randint(0, 2)] = luck.choice(["", ".", "é", "A", "\ud83d", "%00", "\n", "\x00", "="])
        if "".join(damaged) != good:
            with pytest.raises(Refused):
                people.check("".join(damaged))


def test_a_clock_that_is_seconds_off_matters_to_nobody(project: FakeProject) -> None:
    now = int(time.time())
    assert project.people().check(ES256.sign(project.claims(iat=now + 5, exp=now + 3_605)))
    assert project.people().check(ES256.sign(project.claims(iat=now - 600, exp=now - 2)))


def test_without_a_project_nobody_signs_in(project: FakeProject) -> None:
    people = People(lambda: None, Jwks(project.clock), time.time)
    with pytest.raises(Refused, match="switched_off"):
        people.check(ES256.sign(project.claims()))
    assert project.asked == 0


def test_without_a_shared_secret_no_token_is_signed_by_one(project: FakeProject) -> None:
    project.secret = None
    assert refusal(project, HS256.sign(project.claims())) == "algorithm"


def test_a_short_secret_signs_nothing(project: FakeProject) -> None:
    project.secret = "short"
    with pytest.warns(match="below the minimum"):
        token = Key("shared", "HS256", "short").sign(project.claims())
    assert refusal(project, token) == "InvalidKeyError"


def test_keys_are_asked_for_once_and_again_after_some_minutes(project: FakeProject) -> None:
    people = project.people()
    for _ in range(3):
        people.check(ES256.sign(project.claims()))
    assert project.asked == 1
    project.clock.seconds += KEPT_SECONDS + 1
    people.check(ES256.sign(project.claims()))
    assert project.asked == 2


def test_a_new_key_is_found_and_a_revoked_one_forgotten(project: FakeProject) -> None:
    people, new = project.people(), Key.new("ES256")
    people.check(ES256.sign(project.claims()))
    project.document = key_set([new])
    project.clock.seconds += PAUSE_SECONDS
    assert people.check(new.sign(project.claims()))
    with pytest.raises(Refused, match="key"):
        people.check(ES256.sign(project.claims()))


def test_unknown_key_ids_do_not_make_us_ask_again_and_again(project: FakeProject) -> None:
    people = project.people()
    people.check(ES256.sign(project.claims()))
    for _ in range(20):
        with pytest.raises(Refused, match="key"):
            people.check(ES256.sign(project.claims(), kid=uuid.uuid4().hex))
    assert project.asked == 1


def test_kept_keys_serve_while_the_project_does_not_answer_and_not_for_ever(project: FakeProject) -> None:
    people = project.people()
    people.check(ES256.sign(project.claims()))
    project.status = 503
    project.clock.seconds += GRACE_SECONDS - 1
    assert people.check(ES256.sign(project.claims()))
    project.clock.seconds += 2
    with pytest.raises(KeysUnavailable):
        people.check(ES256.sign(project.claims()))


@pytest.mark.parametrize("answer", [(302, {"keys": []}), (200, ["no", "keys"]), (200, {"keys": "x"}), (500, {})])
def test_what_is_no_key_set_is_nobodys_fault_who_signs_in(project: FakeProject, answer: tuple[int, Any]) -> None:
    project.status, project.document = answer
    with pytest.raises(KeysUnavailable):
        project.people().check(ES256.sign(project.claims()))


def test_keys_that_are_not_for_signing_count_for_nothing(project: FakeProject) -> None:
    shown = ES256.public() or {}
    secret = base64.urlsafe_b64encode(HS256.secret.encode()).decode().rstrip("=")
    for odd in (
        {**shown, "use": "enc"}, {**shown, "alg": "ES384"}, {**shown, "crv": "P-384"}, {**shown, "x": "!"},
        {**shown, "d": shown["x"]}, {"kty": "oct", "k": secret, "kid": ES256.key_id, "alg": "HS256"}, {"kty": "EC"}, 7,
    ):  # fmt: skip
        project.document = {"keys": [odd]}
        assert refusal(project, ES256.sign(project.claims())) == "key"


@pytest.mark.parametrize(
    "url", ["http://abc.supabase.co", "https://abc.supabase.co/x", "abc.supabase.co", "file:///etc", "http://127.0.0.1.evil.test"]
)  # fmt: skip
def test_keys_come_from_a_projects_address_over_tls_only(url: str) -> None:
    with pytest.raises(ConfigurationMissing, match="is no address of a Supabase project"):
        Project(url, None)
    assert Project("https://abc.supabase.co", None).keys_url == "https://abc.supabase.co/auth/v1/.well-known/jwks.json"


def head(key: Key) -> dict[str, Any]:
    return {"alg": key.algorithm, "kid": key.key_id, "typ": "JWT"}


def _part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def raw(project: FakeProject, header: dict[str, Any], signature: bytes) -> str:
    """A token put together by hand, of somebody who would be an admin."""
    parts = (json.dumps(header).encode(), json.dumps(project.claims("admin")).encode(), signature)
    return ".".join(map(_part, parts))


def confused(project: FakeProject, secret: bytes) -> str:
    """Signed with what everybody can read, as if it were the shared secret."""
    signed = ".".join(
        map(_part, (json.dumps(head(RS256) | {"alg": "HS256"}).encode(), json.dumps(project.claims("admin")).encode()))
    )
    return f"{signed}.{_part(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def pem(key: Key) -> bytes:
    private = serialization.load_pem_private_key(key.secret.encode(), None)
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def tampered(token: str, claims: dict[str, Any]) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{_part(json.dumps(claims).encode())}.{signature}"

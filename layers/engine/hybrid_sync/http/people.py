"""Who a person is: an access token of Supabase Auth, proved by what the deployment was told and by nothing that the
token says of itself.

RFC 8725 in short: the algorithm belongs to the key, issuer and audience are pinned, and headers that bring a key along
are refused.  Any user of the project can sign in, so a token opens something only with a role of ours in
`app_metadata`, which users cannot write (`user_metadata` they can).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.http.jwks import Jwks
from hybrid_sync.secret import text
from hybrid_sync.servers.supabase import checked_url
from hybrid_sync.services.roles import Role

if TYPE_CHECKING:
    from jwt import PyJWK

    from hybrid_sync.secret import Connections

AUDIENCE = "authenticated"
ROLE_CLAIM = "hybrid_sync_role"
"""In `app_metadata`; a name of ours, because an application may have an `admin` of its own there."""
SKEW_SECONDS = 10
OLDEST_SECONDS = 3_600
"""A token counts no longer after it was issued, whatever it says: so long a banned user can still be let in."""
_LONGEST = 8_192
_BY_TWO = "aal2"
"""Supabase's word for a session that was opened by a second factor, too; one without the claim counts as `aal1`."""
_PROVIDER = re.compile(r"[a-z][a-z0-9_]{1,30}")
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_BY_KEY = ("ES256", "RS256")
_BY_SECRET = "HS256"  # nosec B105 - an algorithm's name
_HEADERS = {"alg", "kid", "typ"}


class Refused(Exception):
    """The token does not prove who sends it; the word says why, for the log only."""


class SecondFactorWanted(Refused):
    """It proves an operator by one factor, where the deployment asks for two."""


@dataclass(frozen=True)
class Project:
    """A Supabase project as the connection secret names it; `jwt_secret` where it still signs with one.  Its public key
    `anon_key` is what its gateway asks for where somebody signs in."""

    url: str
    jwt_secret: str | None
    anon_key: str = ""
    providers: tuple[str, ...] = ()
    """By which one may sign in besides a password, as Supabase Auth calls them."""
    second_factor: bool = False
    """Operators and admins sign in by two (`aal2`)."""
    seal: bytes = b""
    """Known to the functions alone: what a browser keeps for us is signed with it."""

    def __post_init__(self) -> None:
        """ConfigurationMissing where keys would be fetched over a line that anybody could change."""
        checked_url(self.url)
        if not all(map(_PROVIDER.fullmatch, self.providers)):
            raise ConfigurationMissing(
                "The secret's supabase_providers names something else than providers.",
                "Write names of Supabase Auth with a space between them, such as: azure google.",
            )

    @classmethod
    def from_secret(cls, held: Connections) -> Project | None:
        """The project that the secret names, None where it names none; ConfigurationMissing where its values cannot
        be read."""
        if not held.supabase_url:
            return None
        if held.supabase_second_factor not in ("", "operators"):
            raise ConfigurationMissing("The secret's supabase_second_factor is neither empty nor `operators`.")
        return cls(
            held.supabase_url, text(held.supabase_jwt_secret), held.supabase_anon_key,
            tuple(held.supabase_providers.split()), held.supabase_second_factor == "operators",
            hashlib.sha256(f"hybrid-sync sign-in\n{text(held.target_dsn)}".encode()).digest(),
        )  # fmt: skip

    @property
    def issuer(self) -> str:
        return f"{self.url}/auth/v1"

    @property
    def keys_url(self) -> str:
        return f"{self.issuer}/.well-known/jwks.json"


@dataclass(frozen=True)
class Person:
    """A person who has signed in, with the role that an admin of the project gave them."""

    user_id: str
    role: Role

    @property
    def name(self) -> str:
        return f"user:{self.user_id}"


class People:
    """Those of one project; `project` is None where the deployment has none."""

    def __init__(self, project: Callable[[], Project | None], keys: Jwks, now: Callable[[], float]) -> None:
        self._project = project
        self._keys = keys
        self._now = now

    def check(self, token: str) -> Person:
        """Whose token it is.  Raises Refused where it proves nobody, KeysUnavailable where that cannot be found out."""
        project = self._project()
        if project is None:
            raise Refused("switched_off")
        if len(token) > _LONGEST or not token.isascii():
            raise Refused("no_token")
        return _person(self._claims(project, token), self._now(), project)

    def _claims(self, project: Project, token: str) -> dict[str, Any]:
        import jwt  # with what it needs, a fifth of a second that a service token does not wait for

        try:
            header = jwt.get_unverified_header(token)
            key, algorithm = self._key(project, header)
            claims: dict[str, Any] = jwt.decode(
                token, key, [algorithm], audience=AUDIENCE, issuer=project.issuer, leeway=SKEW_SECONDS,
                options={"require": ["exp", "iat", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )  # fmt: skip
        except jwt.PyJWTError as error:
            raise Refused(type(error).__name__) from None
        return claims

    def _key(self, project: Project, header: dict[str, Any]) -> tuple[PyJWK | str, str]:
        """The key that may have signed it, and the only algorithm that this key is for."""
        algorithm, key_id = header.get("alg"), header.get("kid")
        if header.keys() - _HEADERS or header.get("typ", "JWT") != "JWT":  # such as jku, x5u, jwk, crit
            raise Refused("header")
        if key_id is not None and not _KEY_ID.fullmatch(str(key_id)):
            raise Refused("key_id")
        if algorithm == _BY_SECRET and project.jwt_secret:
            return project.jwt_secret, _BY_SECRET
        if algorithm not in _BY_KEY or key_id is None:
            raise Refused("algorithm")
        key = self._keys.find(project.keys_url, str(key_id), str(algorithm))
        if key is None:
            raise Refused("key")
        return key, str(algorithm)


def _person(claims: dict[str, Any], now: float, project: Project) -> Person:
    """The person of claims that are proved; Refused where they name no role of ours, or are not those of a person."""
    if now - float(claims["iat"]) > OLDEST_SECONDS + SKEW_SECONDS:
        raise Refused("too_old")
    if claims.get("role") != AUDIENCE or claims.get("is_anonymous"):
        raise Refused("not_a_person")
    given = claims.get("app_metadata")
    name = given.get(ROLE_CLAIM) if isinstance(given, dict) else None
    if not isinstance(name, str) or name not in Role.__members__:
        raise Refused("role")
    if project.second_factor and Role[name] >= Role.operator and claims.get("aal") != _BY_TWO:
        raise SecondFactorWanted("second_factor")
    try:
        return Person(str(UUID(claims["sub"])), Role[name])
    except ValueError:
        raise Refused("subject") from None

"""The public keys of a Supabase project, kept for minutes: by them the signatures of its access tokens are proved.

They come from the project that the deployment's secret names, and never from an address in a token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

from hybrid_sync.entrypoint import logger
from hybrid_sync.errors import SyncError

if TYPE_CHECKING:
    from jwt import PyJWK

KEPT_SECONDS = 600
"""Supabase's own edge keeps them as long ("JWT Signing Keys"), and says to wait so long after a rotation."""
PAUSE_SECONDS = 30
"""Whatever key ids tokens name, the project is asked no more often."""
GRACE_SECONDS = 3_600
"""So long the kept keys serve while the project does not answer."""
_LONGEST = 65_536
_SMALLEST_RSA = 2_048

Fetch = Callable[[str], bytes]


class KeysUnavailable(SyncError):
    """The project's keys cannot be had: whoever has signed in is not refused for that, but cannot be let in either."""

    code = "keys_unavailable"
    transient = True


class Jwks:
    """The keys of one address; `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float], fetch: Fetch | None = None) -> None:
        self._clock = clock
        self._fetch = fetch or fetched
        self._url = ""
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = self._tried_at = float("-inf")

    def find(self, url: str, key_id: str, algorithm: str) -> PyJWK | None:
        """The key of that id, if it is one for that algorithm; KeysUnavailable where the project cannot be asked."""
        if url != self._url:
            self._url, self._keys, self._fetched_at, self._tried_at = url, {}, float("-inf"), float("-inf")
        now = self._clock()
        stale = now - self._fetched_at > KEPT_SECONDS
        if (stale or key_id not in self._keys) and now - self._tried_at >= PAUSE_SECONDS:
            self._renew(now)
        if now - self._fetched_at > GRACE_SECONDS:
            raise KeysUnavailable("The keys of Supabase Auth cannot be had.", "Check supabase_url in the secret.")
        key = self._keys.get(key_id)
        return key if key is not None and key.algorithm_name == algorithm else None

    def _renew(self, now: float) -> None:
        self._tried_at = now
        try:
            self._keys = usable(self._fetch(self._url))
        except (OSError, ValueError, BotoCoreError) as error:
            logger.warning("keys of Supabase Auth not fetched", extra={"error": type(error).__name__})
            return
        self._fetched_at = now


def usable(document: bytes) -> dict[str, PyJWK]:
    """The signing keys of a key set by id, each with the one algorithm that its kind is for; others are left out.

    ValueError where it is no key set.
    """
    content = json.loads(document)
    if not isinstance(content, dict) or not isinstance(content.get("keys"), list):
        raise ValueError("no key set")
    found = ((jwk, _algorithm(jwk)) for jwk in content["keys"] if isinstance(jwk, dict))
    made = {str(jwk["kid"]): _made(jwk, algorithm) for jwk, algorithm in found if algorithm}
    return {key_id: key for key_id, key in made.items() if key is not None}


def _algorithm(jwk: Mapping[str, Any]) -> str | None:
    """By its kind; a secret key (`oct`) in a public place is for nothing."""
    kind = {("RSA", None): "RS256", ("EC", "P-256"): "ES256"}.get((str(jwk.get("kty")), jwk.get("crv")))
    signs = jwk.get("use", "sig") == "sig" and jwk.get("alg", kind) == kind and isinstance(jwk.get("kid"), str)
    return kind if signs and "d" not in jwk else None


def _made(jwk: dict[str, Any], algorithm: str) -> PyJWK | None:
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    try:
        made = PyJWK(jwk, algorithm)
    except PyJWTError:
        return None
    return made if algorithm != "RS256" or made.key.key_size >= _SMALLEST_RSA else None


def fetched(url: str) -> bytes:
    """What is at the address; redirects are not followed.  OSError or BotoCoreError where that is no answer of 200."""
    session = URLLib3Session(timeout=(2, 3), max_pool_connections=1)
    try:
        answer = session.send(AWSRequest("GET", url).prepare())
        content = bytes(answer.content)
    finally:
        session.close()
    if answer.status_code != 200 or len(content) > _LONGEST:
        raise OSError(f"HTTP {answer.status_code}")
    return content

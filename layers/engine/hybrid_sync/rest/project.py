"""The project's REST API as the worker's role: a JWT for minutes, and what stands in the way under our names."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import ConfigurationMissing, TargetUnavailable
from hybrid_sync.rest.answers import server_error
from hybrid_sync.rest.session import RestSession
from hybrid_sync.servers.supabase import checked_url

if TYPE_CHECKING:
    from postgrest import APIError, SyncPostgrestClient
    from supabase import Client

SCHEMA = "hybrid_sync_api"
ROLE = "hybrid_sync_worker"
TOKEN_SECONDS = 300
ANSWER_SECONDS = 30
"""A message takes milliseconds, and the server ends it after a few seconds."""

_SQLSTATE = re.compile(r"(?!PGRST)[0-9A-Z]{5}")
# https://docs.postgrest.org/en/stable/references/errors.html
_NO_TARGET = ("PGRST000", "PGRST001", "PGRST002", "PGRST003")
"""PostgREST has no connection, or none left, or does not know the schema yet."""


@dataclass(frozen=True)
class Project:
    """A Supabase project, and the secret with which it signs."""

    url: str
    anon_key: str
    jwt_secret: str = field(repr=False)
    clock: Callable[[], float] = time.time

    def connect(self) -> RestSession:
        """A session; whether the API answers shows its first message."""
        return RestSession(self.ask, self.url)

    def ask(self, name: str, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call one function of ours.  Raises TargetUnavailable, ConfigurationMissing, or the server's own error."""
        import httpx
        from postgrest import APIError

        try:
            answer = self._api.rpc(name, dict[str, Any](said=said)).execute().data
        except httpx.HTTPError as error:
            # Not even a refused one says more than this: a message that has been sent may have committed.
            raise TargetUnavailable(
                f"The REST API of {self.url} does not answer ({type(error).__name__}).",
                "It is tried again; check supabase_url in the secret, and the project.",
            ) from None
        except APIError as error:
            _refuse(error)
        if not isinstance(answer, dict):
            raise TargetUnavailable(f"The REST API of {self.url} answers something else.", "Check supabase_url.")
        return answer

    @property
    def _api(self) -> SyncPostgrestClient:
        api = self._client.schema(SCHEMA)
        return api.auth(self._token())

    def _token(self) -> str:
        import jwt

        now = int(self.clock())
        claims = {"role": ROLE, "iat": now, "exp": now + TOKEN_SECONDS}
        return jwt.encode(claims, self.jwt_secret, algorithm="HS256")

    @cached_property
    def _client(self) -> Client:
        from supabase import ClientOptions, create_client

        options = ClientOptions(
            auto_refresh_token=False, persist_session=False, postgrest_client_timeout=ANSWER_SECONDS
        )
        return create_client(checked_url(self.url), self.anon_key, options)

    def close(self) -> None:
        """End the client's connections."""
        self._client.postgrest.session.close()
        self._client.auth.close()


@lru_cache(maxsize=1)
def project(url: str, anon_key: str, jwt_secret: str) -> Project:
    """A worker keeps one, whose client keeps its connection; ConfigurationMissing where something is not held."""
    if not anon_key:
        raise ConfigurationMissing(
            "The secret ConnectionSecret holds no supabase_anon_key, which the REST API asks for.",
            "Fill it in with: aws secretsmanager put-secret-value (keep the other fields).",
        )
    return Project(checked_url(url), anon_key, jwt_secret)


def _refuse(error: APIError) -> NoReturn:
    """An error of the whole message: the server's own, or PostgREST's."""
    code = str(error.code or "")
    if code == "42501":  # those of a statement come back as an answer
        raise ConfigurationMissing(
            "The target's REST API does not let the worker in (42501).", "Run `hybrid-sync install`."
        ) from None
    if _SQLSTATE.fullmatch(code):
        raise server_error({"sqlstate": code, "message": code}) from None
    if code in ("PGRST106", "PGRST202"):
        raise ConfigurationMissing(
            f"The target's REST API does not serve the schema {SCHEMA} ({code}).",
            "Run `hybrid-sync install`, then add it to the project's exposed schemas (Settings, Data API).",
        ) from None
    if code.startswith("PGRST3"):
        raise ConfigurationMissing(
            f"The target's REST API refuses our token ({code}).",
            "Put the project's legacy JWT secret into the connection secret as supabase_jwt_secret.",
        ) from None
    if code in _NO_TARGET or not code.startswith("PGRST"):
        raise TargetUnavailable(f"The target's REST API answers {code}.", "It is tried again.") from None
    raise ConfigurationMissing(f"The target's REST API refuses our message ({code}).", "Look the code up.") from None

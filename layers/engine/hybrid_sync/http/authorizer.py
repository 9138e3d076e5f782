"""The answer to "may this request in?": a policy for this one request, which API Gateway must not keep.

Nothing is cached (the template's ReauthorizeEvery is 0), so a revoked token opens nothing from that moment on, and no
answer to a cookie can be given to somebody else's.  A policy names one request alone: kept all the same, it would let
in too little, never too much.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from hybrid_sync.dataclass import dataclass
from hybrid_sync.entrypoint import logger
from hybrid_sync.http.credentials import Credential, credential
from hybrid_sync.http.people import Person, Refused
from hybrid_sync.http.scopes import OF_ROLE
from hybrid_sync.http.tokens import PREFIX, Token

Scopes = Mapping[tuple[str, str], str | None]
"""Method and path, as API Gateway writes it, of each endpoint -> its scope."""


class Tokens(Protocol):
    """The service tokens."""

    def check(self, presented: str) -> Token | None: ...


class People(Protocol):
    """Finds out which person a token belongs to."""

    def check(self, token: str) -> Person: ...


@dataclass(frozen=True)
class _Caller:
    name: str
    scopes: tuple[str, ...]
    role: str


class Authorizer:
    """Turns a credential into what its scopes allow; everything else is denied."""

    def __init__(self, tokens: Tokens, people: People, scopes: Scopes) -> None:
        self._tokens = tokens
        self._people = people
        self._scopes = scopes

    def answer(self, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """The policy; None where the request does not prove who sends it, which the function raises as the error
        that API Gateway knows."""
        route = (str(event["httpMethod"]), str(event["resource"]))
        presented = credential(event)
        try:
            if presented is None:
                raise Refused("no_credential")
            caller = self._caller(presented)
        except Refused as reason:
            logger.warning("request refused", extra={"why": str(reason), "route": " ".join(route)})
            return None
        scope = self._scopes.get(route)
        allowed = scope is not None and scope in caller.scopes
        if not allowed:
            logger.warning("request refused", extra={"why": "scope", "route": " ".join(route), "caller": caller.name})
        return _policy(caller, "Allow" if allowed else "Deny", str(event["methodArn"]))

    def _caller(self, presented: Credential) -> _Caller:
        if not presented.text.startswith(PREFIX):
            person = self._people.check(presented.text)
            return _Caller(person.name, OF_ROLE[person.role], person.role.name)
        # A token is for programs: in a browser it would outlive every session.
        token = None if presented.of_browser else self._tokens.check(presented.text)
        if token is None:
            raise Refused("token")
        return _Caller(f"token:{token.token_id}", token.scopes, "")


def _policy(caller: _Caller, effect: str, request: str) -> dict[str, Any]:
    """`context` reaches the function behind the route, which decides what the route alone does not."""
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": [request]}
    return {
        "principalId": caller.name,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"scopes": " ".join(caller.scopes), "role": caller.role},
    }

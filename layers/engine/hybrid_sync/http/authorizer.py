"""The answer to "may this request in?", as the policy that API Gateway caches per token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybrid_sync.http.endpoints import ENDPOINTS
from hybrid_sync.http.tokens import Tokens


class Authorizer:
    """Turns a bearer token into what its scopes allow; everything else is denied."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def answer(self, event: dict[str, Any]) -> dict[str, Any]:
        """The policy covers every route of the token, not just this one: it is cached for all of them."""
        stage = "/".join(event["methodArn"].split("/", 2)[:2])
        presented = str(event.get("authorizationToken", "")).removeprefix("Bearer ").strip()
        token = self._tokens.check(presented)
        if token is None:
            return _policy("unknown", "Deny", [f"{stage}/*"], ())
        allowed = [f"{stage}/{e.resource}" for scope in token.scopes for e in ENDPOINTS if e.scope == scope]
        if not allowed:
            return _policy(token.token_id, "Deny", [f"{stage}/*"], token.scopes)
        return _policy(token.token_id, "Allow", allowed, token.scopes)


def _policy(principal: str, effect: str, resources: list[str], scopes: Sequence[str]) -> dict[str, Any]:
    """`context` reaches the function behind the route: what a route alone cannot decide, it decides."""
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resources}
    return {
        "principalId": principal,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"scopes": " ".join(scopes)},
    }

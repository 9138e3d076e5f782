"""The answer to "may this request in?", as the policy that API Gateway caches per token."""

from __future__ import annotations

from typing import Any

from hybrid_sync.http.tokens import READ, WRITE, Tokens

_ROUTES = {READ: ("GET/v1/syncs/*",), WRITE: ("POST/v1/syncs",)}


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
            return _policy("unknown", "Deny", [f"{stage}/*"])
        allowed = [f"{stage}/{route}" for scope in token.scopes for route in _ROUTES[scope]]
        return _policy(token.token_id, "Allow", allowed)


def _policy(principal: str, effect: str, resources: list[str]) -> dict[str, Any]:
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resources}
    return {"principalId": principal, "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}

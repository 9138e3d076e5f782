"""What a token proves: a service token of the control table, by the scopes that it has."""

from __future__ import annotations

from hybrid_sync.dashboard.session import Visitor
from hybrid_sync.http.scopes import OPERATE, READ
from hybrid_sync.http.tokens import Tokens
from hybrid_sync.services.roles import Role


def by_service_token(tokens: Tokens, text: str) -> Visitor | None:
    """A token that may read looks; one that may operate does what an operator does."""
    token = tokens.check(text)
    if token is None or READ not in token.scopes:
        return None
    return Visitor(f"token:{token.token_id}", Role.operator if OPERATE in token.scopes else Role.viewer, text)

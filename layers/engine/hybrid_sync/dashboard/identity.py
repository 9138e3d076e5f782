"""What a token proves: a service token of the control table, by the scopes that it has."""

from __future__ import annotations

from hybrid_sync.dashboard.session import Visitor
from hybrid_sync.http.tokens import ON_FAILURE, READ, WRITE, Tokens
from hybrid_sync.services.commands import Role


def by_service_token(tokens: Tokens, text: str) -> Visitor | None:
    """A token that may read looks; one that may also start runs and say what becomes of failed ones does what an
    operator does."""
    token = tokens.check(text)
    if token is None or READ not in token.scopes:
        return None
    operates = {READ, WRITE, ON_FAILURE} <= set(token.scopes)
    return Visitor(f"token:{token.token_id}", Role.operator if operates else Role.viewer, text)

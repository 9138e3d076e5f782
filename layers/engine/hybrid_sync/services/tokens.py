"""Service tokens of the HTTP trigger: who may call it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hybrid_sync.errors import RequestRejected
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.messages.tokens import (
    CreateAsked,
    CreatedToken,
    KnownToken,
    KnownTokens,
    RevokeAsked,
    Revoked,
    RotateAsked,
    RotatedToken,
    TokensAsked,
)


def tokens(desk: Desk, _: TokensAsked, __: str) -> KnownTokens:
    """Every token, revoked ones included, the oldest first."""
    return KnownTokens(tokens=tuple(map(_known, desk.tokens.list())))


def create_token(desk: Desk, asked: CreateAsked, _: str) -> CreatedToken:
    """RequestRejected for an unknown scope, an empty name, or more days than a token may live."""
    token, readable = desk.tokens.create(asked.name, asked.scopes, asked.days)
    return CreatedToken(id=token.token_id, name=token.name, token=readable, expires_at=token.expires_at)


def revoke_token(desk: Desk, asked: RevokeAsked, _: str) -> Revoked:
    """Close it for good; RequestRejected where there is none."""
    if not desk.tokens.revoke(asked.token_id):
        raise RequestRejected(f"There is no token {asked.token_id}: see hybrid-sync tokens list.")
    return Revoked(id=asked.token_id)


def rotate_token(desk: Desk, asked: RotateAsked, _: str) -> RotatedToken:
    """Give it another secret; RequestRejected where it opens nothing, or for times that are none."""
    token, readable = desk.tokens.rotate(asked.token_id, asked.days, asked.overlap_hours)
    return RotatedToken(
        id=token.token_id, name=token.name, token=readable, expires_at=token.expires_at,
        old_secret_until=token.old_secret_until,
    )  # fmt: skip


def _known(token: Any) -> KnownToken:
    return KnownToken(
        id=token.token_id, name=token.name, scopes=token.scopes, created_at=token.created_at,
        expires_at=token.expires_at, revoked_at=token.revoked_at, used_at=token.used_at,
        old_secret_until=token.old_secret_until, open=token.is_open(datetime.now(UTC)),
    )  # fmt: skip

"""Service tokens of the HTTP trigger: who may call it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hybrid_sync.contracts import Message
from hybrid_sync.errors import RequestRejected
from hybrid_sync.services.desk import Asked, Desk


class TokensAsked(Asked):
    """Nothing to say."""


class CreateAsked(Asked):
    name: str
    scopes: tuple[str, ...]
    days: int


class RevokeAsked(Asked):
    token_id: str


class RotateAsked(Asked):
    """The token lives for so many days from now on; its present secret opens for so many hours more."""

    token_id: str
    days: int
    overlap_hours: int


class KnownToken(Message):
    """What is known of a token; never its secret."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None = None
    old_secret_until: datetime | None = None
    open: bool


class KnownTokens(Message):
    tokens: tuple[KnownToken, ...]


class CreatedToken(Message):
    """`token` is its only readable copy."""

    id: str
    name: str
    token: str
    expires_at: datetime


class RotatedToken(CreatedToken):
    old_secret_until: datetime


class Revoked(Message):
    id: str


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

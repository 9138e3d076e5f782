"""Service tokens of the HTTP trigger."""

from __future__ import annotations

from datetime import datetime

from hybrid_sync.contracts import Message
from hybrid_sync.services.messages import Asked

USUAL_DAYS = 365
USUAL_OVERLAP_HOURS = 24


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

"""Service tokens: `hs_<id>_<secret>`, of which the control table keeps only a hash.

The secret is 256 random bits, so a plain SHA-256 is enough: there is nothing to guess, unlike a password.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hybrid_sync.aws import Client, refusals
from hybrid_sync.errors import RequestRejected
from hybrid_sync.http.scopes import SCOPES, USUAL_SCOPES

USUAL_DAYS = 365
LONGEST_DAYS = 730

_FORM = re.compile(r"^hs_(?P<id>[a-z0-9]{12})_(?P<secret>[A-Za-z0-9_-]{43})$")
_PREFIX = "token/"


@dataclass(frozen=True)
class Token:
    """What is known of a token; never its secret."""

    token_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None

    def is_open(self, now: datetime) -> bool:
        """Whether it opens anything at this moment."""
        return self.revoked_at is None and now < self.expires_at


class Tokens:
    """The tokens in the control table (string key `pk`)."""

    def __init__(self, table: str, client: Client) -> None:
        self._table = table
        self._client = client

    def create(self, name: str, scopes: Sequence[str] = USUAL_SCOPES, days: int = USUAL_DAYS) -> tuple[Token, str]:
        """A new token and its only readable copy; it expires after so many days.

        RequestRejected for an unknown scope, an empty name, or more days than a token may live.
        """
        if not name.strip():
            raise RequestRejected("A token needs a name.", "Say who will use it.")
        unknown = set(scopes) - set(SCOPES)
        if unknown or not scopes:
            raise RequestRejected(
                f"Unknown scope {', '.join(sorted(unknown)) or '(none)'}.",
                f"Choose from {', '.join(SCOPES)}.",
            )
        if not 1 <= days <= LONGEST_DAYS:
            raise RequestRejected(
                f"A token lives between 1 and {LONGEST_DAYS} days, not {days}.", "Make a new one when it expires."
            )
        now = datetime.now(UTC)
        token = Token(secrets.token_hex(6), name, tuple(scopes), now, now + timedelta(days=days), None)
        secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        item = {
            "pk": {"S": _PREFIX + token.token_id},
            "name": {"S": token.name},
            "scopes": {"L": [{"S": scope} for scope in token.scopes]},
            "secret_sha256": {"B": _hash(secret)},
            "created_at": {"S": token.created_at.isoformat()},
            "expires_at": {"S": token.expires_at.isoformat()},
        }
        with refusals("the control table"):
            self._client.put_item(TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(pk)")
        return token, f"hs_{token.token_id}_{secret}"

    def check(self, presented: str) -> Token | None:
        """The token that `presented` is, or None when it is unknown, wrong, expired or revoked."""
        form = _FORM.match(presented)
        if form is None:
            return None
        with refusals("the control table"):
            answer = self._client.get_item(
                TableName=self._table, Key={"pk": {"S": _PREFIX + form["id"]}}, ConsistentRead=True
            )
        item = answer.get("Item")
        # Hash and compare also when there is no such id, so that the time taken reveals nothing.
        kept = bytes(item["secret_sha256"]["B"]) if item else bytes(32)
        same = hmac.compare_digest(kept, _hash(form["secret"]))
        if item is None or not same:
            return None
        token = _token(item)
        return token if token.is_open(datetime.now(UTC)) else None

    def list(self) -> list[Token]:
        """Every token, revoked ones included, the oldest first."""
        found: list[Token] = []
        with refusals("the control table"):
            pages = self._client.get_paginator("scan").paginate(
                TableName=self._table,
                FilterExpression="begins_with(pk, :prefix)",
                ExpressionAttributeValues={":prefix": {"S": _PREFIX}},
            )
            for page in pages:
                found += [_token(item) for item in page["Items"]]
        return sorted(found, key=lambda token: token.created_at)

    def revoke(self, token_id: str) -> bool:
        """Close a token for good; False when there is none.  API Gateway may trust it for another minute."""
        with refusals("the control table"):
            known = self._client.get_item(TableName=self._table, Key={"pk": {"S": _PREFIX + token_id}})
            if "Item" not in known:
                return False
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": _PREFIX + token_id}},
                UpdateExpression="set revoked_at = if_not_exists(revoked_at, :now)",
                ExpressionAttributeValues={":now": {"S": datetime.now(UTC).isoformat()}},
            )
        return True


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _token(item: dict[str, Any]) -> Token:
    revoked, expires = item.get("revoked_at"), item.get("expires_at")
    created = datetime.fromisoformat(item["created_at"]["S"])
    return Token(
        item["pk"]["S"].removeprefix(_PREFIX),
        item["name"]["S"],
        tuple(scope["S"] for scope in item["scopes"]["L"]),
        created,
        # Tokens that an older release made know no end: theirs is that of a usual one.
        datetime.fromisoformat(expires["S"]) if expires else created + timedelta(days=USUAL_DAYS),
        datetime.fromisoformat(revoked["S"]) if revoked else None,
    )

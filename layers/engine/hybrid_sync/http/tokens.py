"""Service tokens: `hs_<id>_<secret>`, of which the control table keeps only a hash.

The secret is 256 random bits, so a plain SHA-256 is enough: there is nothing to guess, unlike a password.
A token that is rotated keeps its id, and for some hours its old secret, too: who uses it has time to take over the new
one, and stays the same caller.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hybrid_sync.aws import Client, refusals
from hybrid_sync.dataclass import dataclass
from hybrid_sync.entrypoint import error_sentence, logger
from hybrid_sync.errors import RequestConflicts, RequestRejected, SyncError
from hybrid_sync.http.scopes import SCOPES, USUAL_SCOPES
from hybrid_sync.services.messages.tokens import USUAL_DAYS, USUAL_OVERLAP_HOURS

LONGEST_DAYS = 730
LONGEST_OVERLAP_HOURS = 168
USE_NOTED_EVERY = timedelta(hours=1)
"""The last use is written down no more often: a write for each request would be dear, and say little more."""

PREFIX = "hs_"
_FORM = re.compile(rf"{PREFIX}(?P<id>[a-z0-9]{{12}})_(?P<secret>[A-Za-z0-9_-]{{43}})")
_KEPT_AS = "token/"


@dataclass(frozen=True)
class Token:
    """What is known of a token; never its secret."""

    token_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None = None
    """To the hour."""
    old_secret_until: datetime | None = None
    """Until then the secret before the present one opens as well."""

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
        _require_days(days)
        now = datetime.now(UTC)
        token = Token(secrets.token_hex(6), name, tuple(scopes), now, now + timedelta(days=days), None)
        secret = _new_secret()
        item = {
            "pk": {"S": _KEPT_AS + token.token_id},
            "name": {"S": token.name},
            "scopes": {"L": [{"S": scope} for scope in token.scopes]},
            "secret_sha256": {"B": _hash(secret)},
            "created_at": {"S": token.created_at.isoformat()},
            "expires_at": {"S": token.expires_at.isoformat()},
        }
        with refusals("the control table"):
            self._client.put_item(TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(pk)")
        return token, f"{PREFIX}{token.token_id}_{secret}"

    def check(self, presented: str) -> Token | None:
        """The token that `presented` is, or None when it is unknown, wrong, expired or revoked."""
        form = _FORM.fullmatch(presented)
        if form is None:
            return None
        item = self._item(form["id"])
        now = datetime.now(UTC)
        # Hash and compare also when there is no such id, so that the time taken reveals nothing.
        kept = _secrets(item, now) if item else [bytes(32)]
        same = [hmac.compare_digest(one, _hash(form["secret"])) for one in kept]
        if item is None or not any(same):
            return None
        token = _token(item)
        if not token.is_open(now):
            return None
        self._note_use(token, now)
        return token

    def list(self) -> list[Token]:
        """Every token, revoked ones included, the oldest first."""
        found: list[Token] = []
        with refusals("the control table"):
            pages = self._client.get_paginator("scan").paginate(
                TableName=self._table,
                FilterExpression="begins_with(pk, :prefix)",
                ExpressionAttributeValues={":prefix": {"S": _KEPT_AS}},
            )
            for page in pages:
                found += [_token(item) for item in page["Items"]]
        return sorted(found, key=lambda token: token.created_at)

    def revoke(self, token_id: str) -> bool:
        """Close a token for good, from this moment on; False when there is none."""
        if self._item(token_id) is None:
            return False
        self._update(token_id, "set revoked_at = if_not_exists(revoked_at, :now)", {":now": _time(datetime.now(UTC))})
        return True

    def rotate(
        self, token_id: str, days: int = USUAL_DAYS, overlap_hours: int = USUAL_OVERLAP_HOURS
    ) -> tuple[Token, str]:
        """The token with another secret, and its only readable copy; the present secret opens for some hours more.

        The present secret lives no longer by that than it would have, and one that is older opens nothing any more.
        RequestRejected for a token that is not there or opens nothing, RequestConflicts where somebody else rotates it.
        """
        _require_days(days)
        if not 0 <= overlap_hours <= LONGEST_OVERLAP_HOURS:
            raise RequestRejected(
                f"The old secret opens for 0 to {LONGEST_OVERLAP_HOURS} hours more, not {overlap_hours}.",
                "Give whoever uses the token the new one in that time.",
            )
        item, now = self._item(token_id), datetime.now(UTC)
        if item is None or not (before := _token(item)).is_open(now):
            raise RequestRejected(
                f"There is no token {token_id} that opens anything.",
                "See hybrid-sync tokens list, or create a new one.",
            )
        secret, expires = _new_secret(), now + timedelta(days=days)
        values = {
            ":new": {"B": _hash(secret)}, ":old": item["secret_sha256"], ":expires": _time(expires),
            ":until": _time(min(now + timedelta(hours=overlap_hours), before.expires_at)),
        }  # fmt: skip
        done = self._update(
            token_id,
            "set secret_sha256 = :new, old_sha256 = :old, old_secret_until = :until, expires_at = :expires",
            values, only_if="secret_sha256 = :old and attribute_not_exists(revoked_at)",
        )  # fmt: skip
        if not done:
            raise RequestConflicts(f"Somebody else has just changed the token {token_id}: see hybrid-sync tokens list.")
        changed = self._item(token_id)
        return _token(changed or item), f"{PREFIX}{token_id}_{secret}"

    def _note_use(self, token: Token, now: datetime) -> None:
        """At most once an hour; that a use cannot be noted closes nothing."""
        if token.used_at is not None and now - token.used_at < USE_NOTED_EVERY:
            return
        try:
            self._update(token.token_id, "set used_at = :now", {":now": _time(now)})
        except SyncError as error:
            logger.warning("use of a token not noted", extra={"error": error_sentence(error)[0]})

    def _item(self, token_id: str) -> dict[str, Any] | None:
        with refusals("the control table"):
            answer = self._client.get_item(
                TableName=self._table, Key={"pk": {"S": _KEPT_AS + token_id}}, ConsistentRead=True
            )
        item: dict[str, Any] | None = answer.get("Item")
        return item

    def _update(
        self, token_id: str, change: str, values: dict[str, Any], only_if: str = "attribute_exists(pk)"
    ) -> bool:
        """Whether the condition held."""
        with refusals("the control table"):
            try:
                self._client.update_item(
                    TableName=self._table, Key={"pk": {"S": _KEPT_AS + token_id}}, UpdateExpression=change,
                    ConditionExpression=only_if, ExpressionAttributeValues=values,
                )  # fmt: skip
            except self._client.exceptions.ConditionalCheckFailedException:
                return False
        return True


def _require_days(days: int) -> None:
    if not 1 <= days <= LONGEST_DAYS:
        raise RequestRejected(
            f"A token lives between 1 and {LONGEST_DAYS} days, not {days}.", "Make a new one when it expires."
        )


def _new_secret() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _secrets(item: dict[str, Any], now: datetime) -> list[bytes]:
    """The hashes that open it now."""
    present = [bytes(item["secret_sha256"]["B"])]
    until = _moment(item, "old_secret_until")
    return present if until is None or now >= until else [*present, bytes(item["old_sha256"]["B"])]


def _time(moment: datetime) -> dict[str, str]:
    return {"S": moment.isoformat()}


def _moment(item: dict[str, Any], name: str) -> datetime | None:
    return datetime.fromisoformat(item[name]["S"]) if name in item else None


def _token(item: dict[str, Any]) -> Token:
    created = datetime.fromisoformat(item["created_at"]["S"])
    return Token(
        item["pk"]["S"].removeprefix(_KEPT_AS),
        item["name"]["S"],
        tuple(scope["S"] for scope in item["scopes"]["L"]),
        created,
        # Tokens that an older release made know no end: theirs is that of a usual one.
        _moment(item, "expires_at") or created + timedelta(days=USUAL_DAYS),
        _moment(item, "revoked_at"),
        _moment(item, "used_at"),
        _moment(item, "old_secret_until"),
    )

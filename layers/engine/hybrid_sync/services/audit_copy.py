"""The audit trail outside the target: copied to S3 every day, and compared with what the target has.

Each line carries a SHA-256 over itself and the hash of the line before (migration 0034), so a line that was changed, or
taken out between others, breaks the chain.  Whoever owns the target could make the whole chain anew, or cut off its
end: the names of the copies carry the hashes that it had, where S3's Object Lock keeps them from everybody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, Protocol

from psycopg import sql

from hybrid_sync.aws import Client, refusals
from hybrid_sync.postgres import Connection, answer, inside
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages.trail import Verified, VerifyAsked
from hybrid_sync.session import dicts

KEPT_DAYS = 2_192
"""Six years, two of them with a leap day."""
LINES = 5_000
"""In one copy, and in one call of `verify`."""
_NAMED = 20
_PREFIX = "audit/"
_NAME = re.compile(_PREFIX + r"(\d{12})-(\d{12})-([0-9a-f]{64})\.jsonl")

Lock = Literal["none", "GOVERNANCE", "COMPLIANCE"]
"""S3's Object Lock: none, one that a privileged person can lift, one that nobody can."""


class Copy(NamedTuple):
    """Lines `first` to `last`; `last` had this hash."""

    first: int
    last: int
    chained: str


class Copies(Protocol):
    """Where copies are kept."""

    def listed(self) -> list[tuple[int, int, str]]: ...

    def write(self, copy: Copy, lines: Sequence[dict[str, Any]], now: datetime) -> None: ...


class S3Copies:
    """Those in one bucket, under `audit/`."""

    def __init__(self, bucket: str, client: Client, lock: Lock) -> None:
        self._bucket = bucket
        self._client = client
        self._lock = lock

    def listed(self) -> list[tuple[int, int, str]]:
        """All of them, the oldest first."""
        with refusals("the data bucket"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=_PREFIX)
            keys = sorted(found["Key"] for page in pages for found in page.get("Contents", ()))
        matches = filter(None, map(_NAME.fullmatch, keys))
        return [(int(m[1]), int(m[2]), m[3]) for m in matches]

    def write(self, copy: Copy, lines: Sequence[dict[str, Any]], now: datetime) -> None:
        """Safe to repeat: the same lines are the same object."""
        key = f"{_PREFIX}{copy.first:012}-{copy.last:012}-{copy.chained}.jsonl"
        body = "".join(f"{json.dumps(line, default=str)}\n" for line in lines).encode()
        kept: dict[str, Any] = {}
        if self._lock != "none":
            until = now + timedelta(days=KEPT_DAYS)
            kept = {
                "ObjectLockMode": self._lock, "ObjectLockRetainUntilDate": until, "ChecksumAlgorithm": "SHA256",
            }  # fmt: skip
        with refusals("the data bucket"):
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=body, ContentType="application/x-ndjson", **kept
            )  # fmt: skip


def copy_new_lines(target: Connection, copies: Copies, now: datetime) -> int:
    """Copy what no copy has yet; returns how many lines.  Safe to repeat.

    Behind the last copy that the trail still agrees with: of a target that was restored, the lines since have ids that
    other copies have as well, and a copy that nobody of ours has made keeps nothing from being copied.
    """
    listed = copies.listed()
    with inside(target, "target", soon=True):
        hashes = _hashes_of(target, [last for _, last, _ in listed])
    after, count = max((last for _, last, chained in listed if hashes.get(last) == chained), default=0), 0
    while True:
        with inside(target, "target", soon=True):
            lines = answer(target, dicts(_LINES, {"after": after, "limit": LINES}))
        if not lines:
            return count
        copies.write(Copy(lines[0]["audit_id"], lines[-1]["audit_id"], lines[-1]["chained"]), lines, now)
        after, count = lines[-1]["audit_id"], count + len(lines)


def verify(desk: Desk, asked: VerifyAsked, _: str) -> Verified:
    """So many lines a call; read only."""
    copies = [Copy(*one) for one in desk.audit_copies.listed()]
    with at_target(desk) as target:
        found = answer(target, dicts(_HASHES, {"after": asked.after, "limit": LINES + 1}))
        until = found[LINES - 1]["audit_id"] if len(found) > LINES else None
        inside_page = [c for c in copies if c.last > asked.after and (until is None or c.last <= until)]
        hashes = _hashes_of(target, [copy.last for copy in inside_page])
    broken = [row["audit_id"] for row in found[:LINES] if not row["right_one"]]
    return Verified(
        lines=min(len(found), LINES), broken=tuple(broken[:_NAMED]),
        lost=tuple(c.last for c in inside_page if hashes.get(c.last) != c.chained)[:_NAMED],
        gaps=tuple(n for n in _gaps(copies) if n > asked.after and (until is None or n <= until))[:_NAMED],
        copied=max((copy.last for copy in copies), default=0), next=until,
    )  # fmt: skip


def _hashes_of(target: Connection, ids: Sequence[int]) -> dict[int, str]:
    return {row["audit_id"]: row["chained"] for row in answer(target, dicts(_ENDS, {"ids": list(ids)}))}


def _gaps(copies: Sequence[Copy]) -> list[int]:
    """The first line of each copy before which some are missing."""
    found, reached = [], 0
    for copy in sorted(copies):
        if copy.first > reached + 1:
            found.append(copy.first)
        reached = max(reached, copy.last)
    return found


_LINES = sql.SQL("""
select audit_id, at, request_id, who, source_ip, command, what, outcome, code, encode(chained, 'hex') as chained
from hybrid_sync.audit where audit_id > %(after)s::bigint order by audit_id limit %(limit)s::bigint
""")

# The line before the page is read as well: its hash goes into that of the first.
_HASHES = sql.SQL("""
select audit_id, chained is not distinct from hybrid_sync.audit_hash(
  coalesce(lag(chained) over (order by audit_id), (
    select b.chained from hybrid_sync.audit b where b.audit_id < a.audit_id order by b.audit_id desc limit 1)), a
) as right_one
from hybrid_sync.audit a where audit_id > %(after)s::bigint order by audit_id limit %(limit)s::bigint
""")

_ENDS = sql.SQL("""
select audit_id, encode(chained, 'hex') as chained from hybrid_sync.audit where audit_id = any(%(ids)s)
""")

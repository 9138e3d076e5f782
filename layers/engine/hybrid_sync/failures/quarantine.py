"""Failed records as the target keeps them: which keys to try again, which to queue, which to hand to a person."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_sync.contracts import FailureMessage, Key
from hybrid_sync.failures.reasons import REASONS
from hybrid_sync.postgres import Connection

KEYS_PER_MESSAGE = 100
_MOST_PARTNERS = 1_000
RETRYABLE = sorted(code for code, reason in REASONS.items() if reason.retryable)


def keys_to_retry(connection: Connection, entity: str, source: str, *, every: bool) -> list[Key]:
    """Keys whose failure may have healed although their row did not change: their parent came, a twin left.

    Accepted ones too: a person lives with a row that cannot arrive, and does not keep out one that can.

    With `every` all that wait: a row can also come right where no fence looks, as when a joined row goes or legacy is
    brought back from a snapshot, and the reconcile leaves failed records out.
    """
    rows = connection.execute(
        "select key from hybrid_sync.failed_record where entity = %s and source = %s"
        " and status in ('open', 'escalated', 'accepted') and key <> '{}' and (%s or reason = any(%s)) order by key",
        (entity, source, every, RETRYABLE),
    ).fetchall()
    return [tuple(row[0]) for row in rows]


def take_unqueued(connection: Connection, run_id: str, entity: str, source: str) -> list[FailureMessage]:
    """Open failed records of this run that a retry may heal and no message names yet, marked as queued.

    What a row of its own cannot heal (a bad value, a narrow column) is not tried again beside the run: it waits on the
    operator's list until its row changes.

    From the table and not from memory: a crash between commit and queue loses nothing, the next batch or retry of
    the same entity sends them.
    """
    rows = connection.execute(
        "update hybrid_sync.failed_record set queued_at = clock_timestamp() where (entity, source, key) in"
        " (select entity, source, key from hybrid_sync.failed_record where entity = %s and source = %s"
        "  and status = 'open' and queued_at is null and key <> '{}' and reason = any(%s)"
        "  order by key for update skip locked) returning reason, key",
        (entity, source, RETRYABLE),
    ).fetchall()
    by_reason: dict[str, list[Key]] = {}
    for reason, key in sorted(rows):
        by_reason.setdefault(reason, []).append(tuple(key))
    return [
        FailureMessage(
            run_id=run_id, entity=entity, source=source, reason=reason,
            keys=tuple(keys[start : start + KEYS_PER_MESSAGE]),
        )
        for reason, keys in by_reason.items()
        for start in range(0, len(keys), KEYS_PER_MESSAGE)
    ]  # fmt: skip


def still_open(connection: Connection, message: FailureMessage) -> list[Key]:
    """Which of the message's keys still wait; a late or doubled message may find none."""
    found: list[Key] = []
    for key in message.keys:
        row = connection.execute(
            "select status from hybrid_sync.failed_record where entity = %s and source = %s and key = %s::bigint[]",
            (message.entity, message.source, list(key)),
        ).fetchone()
        if row is not None and row[0] == "open":
            found.append(key)
    return found


def partners(connection: Connection, message: FailureMessage) -> list[Key]:
    """Other rows that a unique value keeps out: two that swapped one arrive only together, from whatever batches."""
    if message.reason != "unique_violation":
        return []
    rows = connection.execute(
        "select key from hybrid_sync.failed_record where entity = %s and source = %s and reason = %s"
        " and status in ('open', 'escalated') order by last_seen desc limit %s",
        (message.entity, message.source, message.reason, _MOST_PARTNERS),
    ).fetchall()
    return [tuple(row[0]) for row in rows]


def count_attempt(connection: Connection, message: FailureMessage, keys: Sequence[Key]) -> int:
    """One more retry from the queue for each key; the highest number of attempts among them."""
    most = 0
    for key in keys:
        row = connection.execute(
            "update hybrid_sync.failed_record set attempts = attempts + 1"
            " where entity = %s and source = %s and key = %s::bigint[] and status = 'open' returning attempts",
            (message.entity, message.source, list(key)),
        ).fetchone()
        most = max(most, int(row[0]) if row else 0)
    return most


def escalate(connection: Connection, message: FailureMessage) -> int:
    """Hand the keys that are still open to a person; returns how many."""
    escalated = 0
    for key in message.keys:
        escalated += connection.execute(
            "update hybrid_sync.failed_record set status = 'escalated'"
            " where entity = %s and source = %s and key = %s::bigint[] and status = 'open'",
            (message.entity, message.source, list(key)),
        ).rowcount
    return escalated

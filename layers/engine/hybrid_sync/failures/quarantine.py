"""Failed records as the target keeps them: which keys to try again, which to queue, which to hand to a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from hybrid_sync.contracts import FailureMessage, Key
from hybrid_sync.failures.reasons import REASONS
from hybrid_sync.keys import ask_recorded, record_among, recorded
from hybrid_sync.postgres import Connection, Question

KEYS_PER_MESSAGE = 100
_MOST_PARTNERS = 1_000
RETRYABLE = sorted(code for code, reason in REASONS.items() if reason.retryable)


def keys_to_retry(run_id: str, entity: str, source: str) -> Question[list[Key]]:
    """Keys whose failure may have healed although their row did not change: their parent came, a twin left.

    Accepted ones too: a person lives with a row that cannot arrive, and does not keep out one that can.

    In a weekly run all that wait: a row can also come right where no fence looks, as when a joined row goes or legacy
    is brought back from a snapshot, and the reconcile leaves failed records out.
    """
    where = sql.SQL(
        "status in ('open', 'escalated', 'accepted') and key <> '{{}}' and (reason = any({}) or exists"
        " (select from hybrid_sync.run where run_id = {} and profile = 'weekly'))"
    )
    return ask_recorded("failed_record", entity, source, where.format(RETRYABLE, run_id))


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
    where = sql.SQL("status = 'open' and {}").format(record_among(message.keys))
    waiting = set(recorded(connection, "failed_record", message.entity, message.source, where))
    return [key for key in message.keys if key in waiting]


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
    rows = connection.execute(_update(message, keys, "attempts = attempts + 1")).fetchall()
    return max((attempts for (attempts,) in rows), default=0)


def escalate(connection: Connection, message: FailureMessage) -> int:
    """Hand the keys that are still open to a person; returns how many."""
    return connection.execute(_update(message, message.keys, "status = 'escalated'")).rowcount


def _update(message: FailureMessage, keys: Sequence[Key], change: LiteralString) -> sql.Composed:
    """Change the records of these keys that are open."""
    return sql.SQL(
        "update hybrid_sync.failed_record set {} where entity = {} and source = {} and status = 'open' and {}"
        " returning attempts"
    ).format(sql.SQL(change), message.entity, message.source, record_among(keys))

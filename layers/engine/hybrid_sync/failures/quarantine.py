"""Failed records as the target keeps them: which keys to try again, which to queue, which to hand to a person."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Any, LiteralString, NamedTuple

from psycopg import sql

from hybrid_sync.contracts import FailureMessage, Key
from hybrid_sync.failures.reasons import REASONS
from hybrid_sync.keys import ask_recorded, record_among, single
from hybrid_sync.postgres import Connection, Question, send_with_next

RECORDS_KEPT = timedelta(days=30)
"""How long a failed record is kept after it has ended; one that is open, or accepted, stays."""
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
    for setting in _BY_INDEX:
        send_with_next(connection, sql.SQL("set local {} = off").format(setting))
    rows = connection.execute(_TAKE, (RETRYABLE, entity, source)).fetchall()
    return _messages(run_id, [(entity, source, *row) for row in rows], at_once=False)


def take_children(
    connection: Connection, run_id: str, entity: str, source: str, arrived: Collection[Key]
) -> list[FailureMessage]:
    """Failed records that wait for one of these rows, which now exist, marked as queued, with their attempts counted
    from zero.

    Left out are records of an entity that this run still comes to, those of held entities until their release, and
    those that somebody else has locked: waking must not wait.
    """
    parents = [str(one) for key in arrived if (one := single(key)) is not None]
    if not parents:
        return []
    rows = connection.execute(_WAKE, (run_id, entity, source, parents)).fetchall()
    return _messages(run_id, rows, at_once=True)


def _messages(run_id: str, rows: Iterable[tuple[Any, ...]], *, at_once: bool) -> list[FailureMessage]:
    """About records, each given by entity, source, reason and key; of one cause, and so many at most, one message."""
    by_cause: dict[tuple[str, str, str], list[Key]] = {}
    for *cause, key in sorted(rows):
        entity, source, reason = cause
        by_cause.setdefault((entity, source, reason), []).append(tuple(key))
    return [
        FailureMessage(
            run_id=run_id, entity=entity, source=source, reason=reason, at_once=at_once,
            keys=tuple(keys[start : start + KEYS_PER_MESSAGE]),
        )
        for (entity, source, reason), keys in by_cause.items()
        for start in range(0, len(keys), KEYS_PER_MESSAGE)
    ]  # fmt: skip


_BY_INDEX = (sql.SQL("enable_seqscan"), sql.SQL("enable_hashjoin"), sql.SQL("enable_mergejoin"))
"""Without these, records are found by an index: by its statistics the planner would rather read all failed records, for
each page that has some."""
# For each reason by itself: that is what the index of those that no message names yet goes by.
_TAKE: LiteralString = """
update hybrid_sync.failed_record f set queued_at = clock_timestamp()
from (
  select found.* from unnest(%s::text[]) r (reason) cross join lateral (
    select c.entity, c.source, c.key from hybrid_sync.failed_record c
    where c.entity = %s and c.source = %s and c.status = 'open' and c.queued_at is null and c.key <> '{}'
      and c.reason = r.reason
    for update skip locked) found
) u
where f.entity = u.entity and f.source = u.source and f.key = u.key
returning f.reason, f.key
"""
_WAKE: LiteralString = """
update hybrid_sync.failed_record f set status = 'open', attempts = 0, queued_at = clock_timestamp()
where (f.entity, f.source, f.key) in (
  select c.entity, c.source, c.key from hybrid_sync.failed_record c
  where c.reason = 'missing_parent' and c.status in ('open', 'escalated') and c.key <> '{}'
    and not exists (select from hybrid_sync.run_entity e
                    where e.run_id = %s and e.entity = c.entity and e.status = 'waiting')
    and not exists (select from hybrid_sync.entity_state s where s.entity = c.entity and s.held)
    and c.waits_for->>'entity' = %s and c.waits_for->>'source' = %s and c.waits_for->'key'->>0 = any(%s::text[])
  order by c.entity, c.source, c.key for update skip locked)
returning f.entity, f.source, f.reason, f.key
"""


def still_open(connection: Connection, message: FailureMessage) -> tuple[list[Key], int]:
    """Which of the message's keys still wait, and the most attempts of any; a late or doubled message may find none."""
    rows = connection.execute(
        sql.SQL(
            "select key, attempts from hybrid_sync.failed_record where entity = {} and source = {}"
            " and status = 'open' and {}"
        ).format(message.entity, message.source, record_among(message.keys))
    ).fetchall()
    waiting = {tuple(key): attempts for key, attempts in rows}
    return [key for key in message.keys if key in waiting], max(waiting.values(), default=0)


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


def count_attempt(connection: Connection, message: FailureMessage, keys: Sequence[Key]) -> None:
    """One more retry from the queue for each of the keys that is still open."""
    connection.execute(_update(message, keys, "attempts = attempts + 1"))


def escalate(connection: Connection, message: FailureMessage) -> int:
    """Hand the keys that are still open to a person; returns how many."""
    return connection.execute(_update(message, message.keys, "status = 'escalated'")).rowcount


class GivenUp(NamedTuple):
    """A cause of which records were given up: how many, of how many that wait."""

    entity: str
    reason: str
    escalated: int
    failed: int


def given_up(connection: Connection, causes: Sequence[tuple[str, str]]) -> list[GivenUp]:
    """Of these causes (entity and reason) what the table has now."""
    rows = connection.execute(
        "select entity, reason, count(*) filter (where status = 'escalated'), count(*)"
        " from hybrid_sync.failed_record where status in ('open', 'escalated')"
        " and (entity, reason) in (select * from unnest(%s::text[], %s::text[])) group by entity, reason"
        " order by entity, reason",
        ([entity for entity, _ in causes], [reason for _, reason in causes]),
    ).fetchall()
    return [GivenUp(*row) for row in rows]


def _update(message: FailureMessage, keys: Sequence[Key], change: LiteralString) -> sql.Composed:
    """Change the records of these keys that are open."""
    return sql.SQL(
        "update hybrid_sync.failed_record set {} where entity = {} and source = {} and status = 'open' and {}"
    ).format(sql.SQL(change), message.entity, message.source, record_among(keys))

"""The records around a page of a batch: run and hold, bucket locks, failed records, pending links.

All in the page's own transaction, so that a crash leaves either everything or nothing of it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence

from psycopg import sql

from hybrid_sync.blame import unseen
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import EntityHeld, RunDeadlineExceeded, RunNotRunning, no_such_run
from hybrid_sync.keys import PARAMETER, key_literal, key_texts, record_between, recorded
from hybrid_sync.postgres import Connection, Cursor, Question, answer
from hybrid_sync.rows.failed import FailedRow
from hybrid_sync.timing import timed


def require_running(connection: Connection, run_id: str) -> None:
    """Take the run's row `for share`: an invocation that outlived its run stops here."""
    _enter(connection, run_id, None)


def require_free(connection: Connection, entity: str) -> None:
    """Take the entity's row `for share`: a held entity is not written."""
    _enter(connection, None, entity)


def _enter(connection: Connection, run_id: str | None, entity: str | None) -> None:
    answer(connection, entering(run_id, entity))


def entering(run_id: str | None, entity: str | None) -> Question[None]:
    """Both, as one question among others."""

    def require(found: Cursor) -> None:
        row = found.fetchone()
        assert row is not None, "a function with OUT parameters is one row"
        require_entered(found.connection, run_id, entity, *row)

    return Question("select * from hybrid_sync.enter(%s, %s)", (run_id, entity), require)


def require_entered(
    target: Connection, run_id: str | None, entity: str | None, refused: str | None, status: str | None
) -> None:
    """Raise for what `hybrid_sync.enter` has refused."""
    if refused == "unknown":
        raise unseen(target, no_such_run(str(run_id)))
    if refused == "ended":
        raise RunNotRunning(f"Run {run_id} is {status}, so nothing more is written for it.", "Start a new run.")
    if refused == "late":
        raise RunDeadlineExceeded(
            f"Run {run_id} is past its deadline.",
            "Start it again (it continues with what is left), or allow it longer.",
        )
    if refused == "held":
        raise EntityHeld(f"Entity {entity} is held.", "Release it when its cause is settled: `hybrid-sync release`.")


def cache_epochs(connection: Connection, entities: Iterable[str]) -> dict[str, int]:
    """The cache epoch of each entity; a new one makes everything cached before it invisible."""
    rows = connection.execute(
        "select entity, cache_epoch from hybrid_sync.entity_state where entity = any(%s)", (list(entities),)
    ).fetchall()
    return dict(rows)


@timed("lock")
def lock_buckets(connection: Connection, entity: str, source: str, numbers: Sequence[int]) -> None:
    """Lock the buckets in ascending order and bump their generation; held until the transaction ends.

    Row locks, not advisory locks: those live in one shared table whose exhaustion refuses even new connections.
    """
    connection.execute(
        sql.SQL("select hybrid_sync.lock_buckets(%s, %s, {})").format(PARAMETER), (entity, source, list(numbers))
    )


Link = tuple[Key, str, str, str, int]
"""A reference that still pends: key, column, parent entity, parent source, parent key."""


@dataclass
class Outcome:
    """What became of rows, but for the rows themselves; keys are those of one entity's source."""

    failed: Sequence[FailedRow] = ()
    """They go into quarantine, or their entry is renewed."""
    read: Collection[Key] = ()
    """Their links are forgotten: what still pends is among `links`."""
    links: Sequence[Link] = ()
    ended: Collection[Key] = ()
    """They have arrived, been excluded, or gone: their failed records are resolved."""
    unlinked: Collection[Key] = ()
    """Of those that arrived, the ones that still wait for a deferred parent: that failure stays."""

    def parameters(self) -> tuple[str, list[str], str, list[str], list[str]]:
        """As `hybrid_sync.record_outcome` takes them."""
        failed = [
            {
                "key": row.key, "reason": row.reason, "column": row.column, "sqlstate": row.sqlstate,
                "constraint": row.constraint, "waits_for": row.waits_for, "present": row.present, "rows": row.rows,
                "version": row.version,
            }
            for row in self.failed
        ]  # fmt: skip
        links = json.dumps(self.links)
        return json.dumps(failed), key_texts(self.read), links, key_texts(self.ended), key_texts(self.unlinked)


def record_outcome(connection: Connection, run_id: str, entity: str, source: str, outcome: Outcome) -> int:
    """Record it in the transaction of the rows; how many failed records were resolved."""
    row = connection.execute(
        "select hybrid_sync.record_outcome(%s, %s, %s, %s, %s, %s, %s, %s)",
        (run_id, entity, source, *outcome.parameters()),
    ).fetchone()
    assert row is not None, "a function's result is one row"
    return int(row[0])


def record_failed(connection: Connection, run_id: str, entity: str, source: str, rows: Sequence[FailedRow]) -> None:
    """Put rows into quarantine, or renew their entry."""
    if rows:
        record_outcome(connection, run_id, entity, source, Outcome(failed=rows))


def resolve_failed(connection: Connection, run_id: str, entity: str, source: str, keys: Collection[Key]) -> int:
    """Close the failed records of keys that have arrived, been excluded, or gone."""
    return record_outcome(connection, run_id, entity, source, Outcome(ended=keys)) if keys else 0


def open_failures(
    connection: Connection, entity: str, source: str, keys: tuple[int, int], after: Key | None, until: Key | None
) -> set[Key]:
    """Keys whose failed record is not resolved, from the first of `keys` to the second; of these the ones behind
    `after` and up to `until`."""
    where = sql.SQL("status <> 'resolved' and {} and key > {} and key <= {}").format(
        record_between(keys), key_literal(after or ()), sql.SQL("key") if until is None else key_literal(until)
    )
    return set(recorded(connection, "failed_record", entity, source, where))


def record_missing(target: Connection, run_id: str, entity: str, sentence: str) -> None:
    """Once for each entity of a run, among what people should know of it."""
    target.execute(
        "update hybrid_sync.run_entity set warnings = coalesce(warnings, '[]') || to_jsonb(%(said)s::text)"
        " where run_id = %(run)s and entity = %(entity)s"
        " and not coalesce(warnings, '[]') @> to_jsonb(%(said)s::text)",
        {"said": sentence, "run": run_id, "entity": entity},
    )

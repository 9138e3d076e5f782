"""The records around a page of a batch: run and hold, bucket locks, failed records, pending links.

All in the page's own transaction, so that a crash leaves either everything or nothing of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from hybrid_sync.contracts import Key
from hybrid_sync.errors import EntityHeld, RunDeadlineExceeded, RunNotFound, RunNotRunning
from hybrid_sync.postgres import Connection, among


def require_running(connection: Connection, run_id: str) -> None:
    """Take the run's row `for share`: an invocation that outlived its run stops here."""
    row = connection.execute(
        "select status, clock_timestamp() > deadline_at from hybrid_sync.run where run_id = %s for share",
        (run_id,),
    ).fetchone()
    if row is None:
        raise RunNotFound(f"There is no run {run_id} in the target.", "List runs with `hybrid-sync status`.")
    if row[0] != "running":
        raise RunNotRunning(f"Run {run_id} is {row[0]}, so nothing more is written for it.", "Start a new run.")
    if row[1]:
        raise RunDeadlineExceeded(
            f"Run {run_id} is past its deadline.",
            "Start it again (it continues with what is left), or allow it longer.",
        )


def require_free(connection: Connection, entity: str) -> None:
    """Take the entity's row `for share`: a held entity is not written."""
    row = connection.execute(
        "select held, held_why from hybrid_sync.entity_state where entity = %s for share", (entity,)
    ).fetchone()
    if row is not None and row[0]:
        raise EntityHeld(f"Entity {entity} is held.", "Release it when its cause is settled: `hybrid-sync release`.")


def cache_epochs(connection: Connection, entities: Iterable[str]) -> dict[str, int]:
    """The cache epoch of each entity; a new one makes everything cached before it invisible."""
    rows = connection.execute(
        "select entity, cache_epoch from hybrid_sync.entity_state where entity = any(%s)", (list(entities),)
    ).fetchall()
    return dict(rows)


def lock_buckets(connection: Connection, entity: str, source: str, numbers: Sequence[int]) -> None:
    """Lock the buckets in ascending order and bump their generation; held until the transaction ends.

    Row locks, not advisory locks: those live in one shared table whose exhaustion refuses even new connections.
    """
    connection.execute(
        "insert into hybrid_sync.bucket (entity, source, n, gen)"
        " select %s, %s, n, 1 from unnest(%s::int8[]) as n order by n"
        " on conflict (entity, source, n) do update set gen = bucket.gen + 1",
        (entity, source, sorted(numbers)),
    )


@dataclass(frozen=True)
class FailedRow:
    """What could not be written, and why; never a value of it."""

    key: Key
    reason: str
    column: str | None = None
    sqlstate: str | None = None
    constraint: str | None = None
    waits_for: dict[str, Any] | None = None
    present: bool = False
    rows: int = 1
    """How many rows of legacy it stands for: those that share the key; all without a key under the empty key."""
    version: str | None = None
    """Which version of the row it was; None where nobody has looked."""


_RECORD = """
insert into hybrid_sync.failed_record as f
  (entity, source, key, reason, column_name, sqlstate, constraint_name, waits_for, present, rows, row_version,
   first_run, last_run)
select %(entity)s, %(source)s, array(select jsonb_array_elements_text(r->'key')::int8), r->>'reason', r->>'column',
       r->>'sqlstate', r->>'constraint', nullif(r->'waits_for', 'null'), (r->>'present')::bool, (r->>'rows')::int,
       r->>'version', %(run)s, %(run)s
from jsonb_array_elements(%(rows)s::jsonb) as r
order by r->'key'
on conflict (entity, source, key) do update set
  reason = excluded.reason, column_name = excluded.column_name, sqlstate = excluded.sqlstate,
  constraint_name = excluded.constraint_name, waits_for = excluded.waits_for, present = excluded.present,
  rows = excluded.rows, last_run = excluded.last_run, last_seen = clock_timestamp(),
  -- The same failure again keeps a person's or the queue's decision; another one, or of more rows, opens it anew,
  -- and so does another version of a row that a person has accepted.
  (status, attempts, queued_at, ended_at, ended_by, accepted_why) = (
    select case when anew then 'open' else f.status end, case when anew then 0 else f.attempts end,
           case when anew then null else f.queued_at end, case when anew then null else f.ended_at end,
           case when anew then null else f.ended_by end, case when anew then null else f.accepted_why end
    from (select f.status = 'resolved' or f.reason <> excluded.reason or f.rows < excluded.rows
                 or (f.status = 'accepted' and (f.row_version <> excluded.row_version) is true) as anew) a),
  row_version = coalesce(excluded.row_version, f.row_version)
"""


def record_failed(connection: Connection, run_id: str, entity: str, source: str, rows: Sequence[FailedRow]) -> None:
    """Put rows into quarantine, or renew their entry."""
    if not rows:
        return
    payload = [
        {
            "key": list(row.key), "reason": row.reason, "column": row.column, "sqlstate": row.sqlstate,
            "constraint": row.constraint, "waits_for": row.waits_for, "present": row.present, "rows": row.rows,
            "version": row.version,
        }
        for row in rows
    ]  # fmt: skip
    connection.execute(_RECORD, {"entity": entity, "source": source, "run": run_id, "rows": json.dumps(payload)})


def open_failures(
    connection: Connection, entity: str, source: str, keys: tuple[int, int], after: Key | None, until: Key | None
) -> set[Key]:
    """Keys whose failed record is not resolved, from the first of `keys` to the second; of these the ones behind
    `after` and up to `until`."""
    rows = connection.execute(
        "select key from hybrid_sync.failed_record where entity = %s and source = %s and status <> 'resolved'"
        " and key[1] between %s and %s and key > %s::int8[] and key <= coalesce(%s::int8[], key)",
        (entity, source, *keys, list(after or ()), None if until is None else list(until)),
    ).fetchall()
    return {tuple(row[0]) for row in rows}


def resolve_failed(
    connection: Connection, run_id: str, entity: str, source: str, keys: Iterable[Key], *, but: str = ""
) -> int:
    """Close the failed records of keys that have arrived, been excluded, or gone; not those of reason `but`."""
    wanted = list(keys)
    if not wanted:
        return 0
    return connection.execute(
        sql.SQL(
            "update hybrid_sync.failed_record set status = 'resolved', ended_at = clock_timestamp(), ended_by = {}"
            " where entity = {} and source = {} and status <> 'resolved' and reason <> {} and {}"
        ).format(*map(sql.Literal, (run_id, entity, source, but)), among(sql.SQL("key"), wanted))
    ).rowcount


def record_pending_links(
    connection: Connection,
    run_id: str,
    entity: str,
    source: str,
    links: Sequence[tuple[Key, str, str, str, int]],
) -> None:
    """Remember deferred references for the link step: (key, column, parent entity, parent source, parent key)."""
    if not links:
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into hybrid_sync.pending_link"
            " (entity, source, key, column_name, parent_entity, parent_source, parent_key, run_id)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s)"
            " on conflict (entity, source, key, column_name) do update set parent_entity = excluded.parent_entity,"
            " parent_source = excluded.parent_source, parent_key = excluded.parent_key, run_id = excluded.run_id",
            [(entity, source, list(key), column, to, via, parent, run_id) for key, column, to, via, parent in links],
        )


def drop_settled_links(connection: Connection, entity: str, source: str, keys: Iterable[Key]) -> None:
    """Forget links of rows that were just read again: what still pends is recorded anew."""
    connection.execute(
        sql.SQL("delete from hybrid_sync.pending_link where entity = {} and source = {} and {}").format(
            sql.Literal(entity), sql.Literal(source), among(sql.SQL("key"), keys)
        )
    )

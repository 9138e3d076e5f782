"""The run store: what each run is, how far it got, and how it ended; in the target."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from hybrid_sync.contracts import Key, RunFailure, RunRequest
from hybrid_sync.errors import EntityIncomplete, RunNotFound, no_such_run
from hybrid_sync.legacy.changes import Detection, Mode
from hybrid_sync.legacy.fence import Fence
from hybrid_sync.postgres import Connection

Requested = dict[str, dict[str, list[Key]]]
"""entity -> source -> keys."""


@dataclass(frozen=True)
class RunRecord:
    run_id: str
    request: RunRequest
    status: str
    fence: Fence
    waves: list[list[str]]


def create_run(
    connection: Connection, request: RunRequest, fence: Fence, catalog_hash: str, deadline_seconds: int,
    waves: list[list[str]], requested: Requested,
) -> bool:  # fmt: skip
    """Record the run and its entities; False when an earlier delivery has already done so."""
    created = connection.execute(
        "insert into hybrid_sync.run (run_id, profile, trigger, priority, request, fence, catalog_hash, deadline_at)"
        " values (%s, %s, %s, %s, %s, %s, %s, clock_timestamp() + make_interval(secs => %s))"
        " on conflict (run_id) do nothing returning 1",
        (
            request.run_id, request.profile, request.trigger, request.priority, request.model_dump_json(),
            fence.model_dump_json(), catalog_hash, deadline_seconds,
        ),
    ).fetchone()  # fmt: skip
    if created is None:
        return False
    entities = [entity for wave in waves for entity in wave]
    asked = [json.dumps(requested[entity]) if entity in requested else None for entity in entities]
    connection.execute(
        "insert into hybrid_sync.run_entity (run_id, entity, wave, requested)"
        " select %s, * from unnest(%s::text[], %s::int[], %s::jsonb[])",
        (request.run_id, entities, [n for n, wave in enumerate(waves) for _ in wave], asked),
    )
    for known in ("entity_state", "fence"):
        connection.execute(
            sql.SQL("insert into {} (entity) select unnest(%s::text[]) on conflict do nothing").format(
                sql.Identifier("hybrid_sync", known)
            ),
            (entities,),
        )
    connection.execute("select hybrid_sync.ensure_journal_partition(now())")
    connection.execute("select hybrid_sync.ensure_journal_partition(now() + interval '7 days')")
    return True


def read_run(connection: Connection, run_id: str) -> RunRecord:
    """The run as planned; RunNotFound when there is none."""
    row = connection.execute(
        "select request, status, fence, array(select json_agg(entity order by entity) from hybrid_sync.run_entity e"
        "  where e.run_id = r.run_id group by wave order by wave) from hybrid_sync.run r where run_id = %s",
        (run_id,),
    ).fetchone()
    if row is None:
        raise no_such_run(run_id)
    return RunRecord(run_id, RunRequest.model_validate(row[0]), row[1], Fence.model_validate(row[2]), row[3])


@dataclass(frozen=True)
class EntityRecord:
    """One entity of one run."""

    status: str
    detection: Detection | None
    batches_planned: int | None
    """Heal batches included."""
    requested: dict[str, list[Key]] | None
    fence_version: int | None
    reconcile: dict[str, Any] | None = None
    """What the reconcile of this run tells; None when there was none."""
    deletes: dict[str, Any] | None = None
    """What the delete step tells; None before it."""
    seen: dict[str, Any] | None = None
    """What planning has seen of both sides, where nothing had changed."""


def read_entity(connection: Connection, run_id: str, entity: str) -> EntityRecord:
    """The entity's part of the run; RunNotFound when the run has no such part."""
    found = read_entities(connection, run_id, [entity])
    if not found:
        raise RunNotFound(f"Run {run_id} has no entity {entity}.", "Start the run again.")
    return found[entity]


def read_entities(connection: Connection, run_id: str, entities: Sequence[str]) -> dict[str, EntityRecord]:
    """Their parts of the run, in the order given; without those that the run does not have."""
    rows = connection.execute(
        "select entity, status, detection, detection_reason, fence_at_start,"
        " batches_planned + coalesce((reconcile->>'heal_batches')::int, 0), requested, fence_version, reconcile,"
        " deletes, seen"
        " from hybrid_sync.run_entity where run_id = %s and entity = any(%s)",
        (run_id, list(entities)),
    ).fetchall()
    found = {row[0]: _entity(*row[1:]) for row in rows}
    return {entity: found[entity] for entity in entities if entity in found}


def failed_with(connection: Connection, run_id: str, codes: Collection[str]) -> dict[str, str]:
    """The run's entities that have failed with one of these codes, and with which."""
    rows = connection.execute(
        "select entity, failure->>'code' from hybrid_sync.run_entity"
        " where run_id = %s and status = 'failed' and failure->>'code' = any(%s)",
        (run_id, list(codes)),
    ).fetchall()
    return dict(rows)


def _entity(
    status: str, mode: Mode | None, reason: str | None, at_start: dict[str, Any] | None, planned: int | None,
    requested: dict[str, list[list[int]]] | None, version: int | None, reconcile: dict[str, Any] | None,
    deletes: dict[str, Any] | None, seen: dict[str, Any] | None,
) -> EntityRecord:  # fmt: skip
    detection = Detection.recorded(mode, reason, at_start) if mode is not None else None
    keys = {s: [tuple(k) for k in keys] for s, keys in requested.items()} if requested is not None else None
    return EntityRecord(status, detection, planned, keys, version, reconcile, deletes, seen)


_NOW = sql.SQL("clock_timestamp()")


def record_part(connection: Connection, run_id: str, entity: str, **columns: object) -> None:
    """Set these columns of the entity's part of the run; lists and dicts are kept as JSON."""
    assignments = [
        sql.SQL("{} = {}").format(sql.Identifier(c), json.dumps(v) if isinstance(v, list | dict) else v)
        for c, v in columns.items()
    ]
    connection.execute(
        sql.SQL("update hybrid_sync.run_entity set {} where run_id = {} and entity = {}").format(
            sql.SQL(", ").join(assignments), run_id, entity
        )
    )


def record_plan(
    connection: Connection,
    run_id: str,
    entity: str,
    detection: Detection,
    version: int,
    batches: int,
    keys: int,
    seen: Mapping[str, Any] | None = None,
) -> None:
    """How the entity is read, and into how many batches it was cut; the first plan stays."""
    at_start = {
        "fence": detection.fence.model_dump() if detection.fence else None,
        "since": detection.since.isoformat() if detection.since else None,
        "until": detection.until.isoformat() if detection.until else None,
    }
    connection.execute(
        "update hybrid_sync.run_entity set status = 'planned', detection = %s, detection_reason = %s,"
        " fence_at_start = %s, fence_version = %s, batches_planned = %s, keys_planned = %s, seen = %s,"
        " planned_at = clock_timestamp() where run_id = %s and entity = %s and status = 'waiting'",
        (
            detection.mode, detection.reason, json.dumps(at_start), version, batches, keys,
            None if seen is None else json.dumps(dict(seen)), run_id, entity,
        ),
    )  # fmt: skip


def stored_fence(connection: Connection, entity: str) -> tuple[Fence | None, str | None, int]:
    """The entity's fence, the definition it was taken under, and its version."""
    row = connection.execute(
        "select fence, definition_hash, version from hybrid_sync.fence where entity = %s", (entity,)
    ).fetchone()
    if row is None:
        return None, None, 0
    return Fence.model_validate(row[0]) if row[0] else None, row[1], row[2]


def advance_fence(
    connection: Connection, run_id: str, entity: str, fence: Fence, definition_hash: str, version: int
) -> bool:
    """Compare-and-set: only from the version that the run planned against, and only where nobody holds the entity."""
    held = connection.execute(
        "select held from hybrid_sync.entity_state where entity = %s for share", (entity,)
    ).fetchone()
    if held is not None and held[0]:
        return False
    return (
        connection.execute(
            "update hybrid_sync.fence set fence = %s, definition_hash = %s, version = version + 1, run_id = %s,"
            " advanced_at = clock_timestamp() where entity = %s and version = %s",
            (fence.model_dump_json(), definition_hash, run_id, entity, version),
        ).rowcount
        == 1
    )


def batches_done(connection: Connection, run_id: str, entity: str) -> int:
    """How many of the entity's batches are recorded as done: their last page is."""
    row = connection.execute(
        "select count(*) from hybrid_sync.batch_done"
        " where run_id = %s and entity = %s and result is not null and until is null and step = 'batch'",
        (run_id, entity),
    ).fetchone()
    return int(row[0]) if row else 0


def require_complete(connection: Connection, run_id: str, entity: str, planned: int | None) -> None:
    """EntityIncomplete unless every planned batch is recorded as done."""
    done = batches_done(connection, run_id, entity)
    if planned is None:
        raise EntityIncomplete(f"Entity {entity} was not planned.", "See the run's failures, then start it again.")
    if done < planned:
        raise EntityIncomplete(
            f"Entity {entity} has {done} of {planned} batches.",
            "See the run's failures, then start it again.",
        )


def record_verdict(
    connection: Connection, run_id: str, entity: str, *, verified: bool, advanced: bool, counted: Mapping[str, Any]
) -> None:  # fmt: skip
    """What verification found; the report reads it from here."""
    record_part(
        connection, run_id, entity, status="verified" if verified else "incomplete", fence_advanced=advanced,
        conservation=counted["conservation"], money=counted["money"], reference_counts=counted["references"],
        finished_at=_NOW,
    )  # fmt: skip


def record_failure(connection: Connection, failure: RunFailure) -> None:
    """Turn a failure into data: one line of the report, and the entity's status where one is named."""
    connection.execute(
        "insert into hybrid_sync.run_failure (run_id, entity, state, error, cause) values (%s, %s, %s, %s, %s)",
        (failure.run_id, failure.entity, failure.state, failure.error, failure.cause),
    )
    if failure.entity is not None:
        connection.execute(
            "update hybrid_sync.run_entity set status = 'failed', failure = coalesce(failure, %s::jsonb),"
            " finished_at = clock_timestamp()"
            " where run_id = %s and entity = %s",
            (json.dumps({"code": failure.error, "text": failure.cause}), failure.run_id, failure.entity),
        )


def record_links(connection: Connection, run_id: str, entity: str, *, linked: int, pending: int) -> None:
    """Add to the entity's count of linked references, and to those that found no parent."""
    connection.execute(
        "update hybrid_sync.run_entity set links = jsonb_build_object("
        "'linked', coalesce((links->>'linked')::int, 0) + %s, 'pending', coalesce((links->>'pending')::int, 0) + %s)"
        " where run_id = %s and entity = %s",
        (linked, pending, run_id, entity),
    )


def begin_deletes(connection: Connection, run_id: str, entity: str) -> bool:
    """Claim the listing of what has departed; False when another delivery has listed it."""
    claimed = connection.execute(
        "update hybrid_sync.run_entity set deletes = '{}' where run_id = %s and entity = %s and deletes is null",
        (run_id, entity),
    )
    return claimed.rowcount == 1


def finish_run(connection: Connection, run_id: str, status: str) -> None:
    """End the run: nothing is written for it afterwards; one that has ended stays as it is."""
    connection.execute(
        "update hybrid_sync.run set status = %s, finished_at = clock_timestamp()"
        " where run_id = %s and status = 'running'",
        (status, run_id),
    )


def keep_report(connection: Connection, run_id: str, report: Mapping[str, Any]) -> None:
    """Keep the report as it was at the run's end; the first one stays."""
    connection.execute(
        "update hybrid_sync.run set report = %s where run_id = %s and report is null",
        (json.dumps(report), run_id),
    )


def record_worker(
    connection: Connection, run_id: str, function: str, worker: str, peak_rss_kib: int, memory_mib: int
) -> None:
    """A worker's own peak memory, as it measured it."""
    connection.execute(
        "insert into hybrid_sync.run_worker (run_id, function, worker, peak_rss_kib, memory_mib)"
        " values (%s, %s, %s, %s, %s) on conflict (run_id, function, worker) do update"
        " set peak_rss_kib = greatest(run_worker.peak_rss_kib, excluded.peak_rss_kib), seen_at = clock_timestamp()",
        (run_id, function, worker, peak_rss_kib, memory_mib),
    )

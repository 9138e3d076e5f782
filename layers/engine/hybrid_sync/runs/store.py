"""The run store: what each run is, how far it got, and how it ended; in the target."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from psycopg import sql

from hybrid_sync.blame import unseen
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.place import quoted
from hybrid_sync.catalog.shape import AsPlanned
from hybrid_sync.contracts import Key, RunFailure, RunRequest
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import EntityIncomplete, no_such_part, no_such_run
from hybrid_sync.legacy.changes import Detection, Mode
from hybrid_sync.legacy.fence import Fence
from hybrid_sync.postgres import Connection, Cursor, Question, answer, together
from hybrid_sync.session import Trip

Requested = dict[str, dict[str, list[Key]]]
"""entity -> source -> keys."""


@dataclass(frozen=True)
class RunRecord:
    """A run as its row in the target says it."""

    run_id: str
    request: RunRequest
    status: str
    fence: Fence
    waves: list[list[str]]

    @property
    def entities(self) -> list[str]:
        """All of the run, in the order of its waves."""
        return [name for wave in self.waves for name in wave]


_CREATE = """
with created as (
  insert into hybrid_sync.run (run_id, profile, trigger, priority, request, fence, catalog_hash, build, deadline_at)
  values (%(run)s, %(profile)s, %(trigger)s, %(priority)s, %(request)s, %(fence)s, %(hash)s, %(build)s,
          clock_timestamp() + make_interval(secs => %(deadline)s))
  on conflict (run_id) do nothing returning run_id
),
entities as (
  insert into hybrid_sync.run_entity (run_id, entity, wave, requested)
  select created.run_id, u.* from created, unnest(%(entities)s::text[], %(waves)s::int[], %(asked)s::jsonb[]) u
)
select exists (select from created)
"""
_KNOWN = sql.SQL("insert into {} (entity) select unnest(%s::text[]) on conflict do nothing")


def create_run(
    connection: Connection, request: RunRequest, fence: Fence, version: tuple[str, str], deadline_seconds: int,
    waves: list[list[str]], requested: Requested,
) -> bool:  # fmt: skip
    """Record the run, the catalog's hash and the build that plan it, and its entities; False when an earlier delivery
    has already done so."""
    entities = [entity for wave in waves for entity in wave]
    given = {
        "run": request.run_id, "profile": request.profile, "trigger": request.trigger, "priority": request.priority,
        "request": request.model_dump_json(), "fence": fence.model_dump_json(), "hash": version[0],
        "build": version[1], "deadline": deadline_seconds, "entities": entities,
        "waves": [n for n, wave in enumerate(waves) for _ in wave],
        "asked": [json.dumps(requested[e]) if e in requested else None for e in entities],
    }  # fmt: skip
    with together(connection) as trip:
        created = trip.ask(Question(_CREATE, given, lambda found: bool(found.fetchall()[0][0])))
        for known in ("entity_state", "fence"):
            trip.do(_KNOWN.format(sql.Identifier("hybrid_sync", known)), (entities,))
        for week in ("now()", "now() + interval '7 days'"):
            trip.do(sql.SQL("select hybrid_sync.ensure_journal_partition({})").format(sql.SQL(week)))
    return created.value


def ask_run(run_id: str) -> Question[RunRecord]:
    """The run as planned, without what only another version knows of its request; RunNotFound when there is none."""
    query = (
        "select request, status, fence, array(select json_agg(entity order by entity) from hybrid_sync.run_entity e"
        "  where e.run_id = r.run_id group by wave order by wave) from hybrid_sync.run r where run_id = %s"
    )
    return Question(query, (run_id,), lambda found: _run(run_id, found))


def _run(run_id: str, found: Cursor) -> RunRecord:
    if (row := found.fetchone()) is None:
        raise unseen(found.connection, no_such_run(run_id))
    request = RunRequest.model_validate(row[0], extra="ignore")
    return RunRecord(run_id, request, row[1], Fence.model_validate(row[2]), row[3])


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
    """What the reconcile of this run found; None when there was none."""
    deletes: dict[str, Any] | None = None
    """What the delete step has done; None before it."""
    seen: dict[str, Any] | None = None
    """What planning has seen of both sides, where nothing had changed."""
    verification: dict[str, Any] | None = None
    """How far a verification in parts is."""
    batches_done: int = 0
    as_planned: AsPlanned | None = None
    """None where an earlier release has planned it."""


def read_entity(connection: Connection, run_id: str, entity: str) -> EntityRecord:
    """The entity's part of the run; RunNotFound when the run has no such part."""
    return answer(connection, ask_entity(run_id, entity))


def ask_entity(run_id: str, entity: str) -> Question[EntityRecord]:
    """As `read_entity`, to be asked together with other questions."""
    asked = ask_entities(run_id, [entity])

    def only(found: Cursor) -> EntityRecord:
        records = asked.meaning(found)
        if not records:
            raise unseen(found.connection, no_such_part(run_id, entity))
        return records[entity]

    return Question(asked.query, asked.parameters, only)


def ask_entities(run_id: str, entities: Sequence[str] | None) -> Question[dict[str, EntityRecord]]:
    """The entities' parts of the run, in the order given, without those that the run does not have; None: all."""
    return Question(
        "select entity, status, detection, detection_reason, fence_at_start,"
        " batches_planned + coalesce((reconcile->>'heal_batches')::int, 0), requested, fence_version, reconcile,"
        " deletes, seen, verification,"
        # Batches whose last page is recorded as done.
        " (select count(*) from hybrid_sync.batch_done b where b.run_id = e.run_id and b.entity = e.entity"
        " and b.result is not null and b.until is null and b.step = 'batch')"
        " from hybrid_sync.run_entity e where run_id = %s and entity = any(coalesce(%s::text[], array[entity]))",
        (run_id, None if entities is None else list(entities)),
        lambda found: _in_order(entities, {row[0]: _entity(*row[1:]) for row in found.fetchall()}),
    )


def _in_order(entities: Sequence[str] | None, found: Mapping[str, EntityRecord]) -> dict[str, EntityRecord]:
    if entities is None:
        return dict(found)
    return {entity: found[entity] for entity in entities if entity in found}


def ask_failed_with(run_id: str, codes: Collection[str]) -> Question[dict[str, str]]:
    """The run's entities that have failed with one of these codes, and with which."""
    return Question(
        "select entity, failure->>'code' from hybrid_sync.run_entity"
        " where run_id = %s and status = 'failed' and failure->>'code' = any(%s)",
        (run_id, list(codes)),
        lambda found: dict(found.fetchall()),
    )


def _entity(
    status: str, mode: Mode | None, reason: str | None, at_start: dict[str, Any] | None, planned: int | None,
    requested: dict[str, list[list[int]]] | None, version: int | None, reconcile: dict[str, Any] | None,
    deletes: dict[str, Any] | None, seen: dict[str, Any] | None, verification: dict[str, Any] | None, done: int,
) -> EntityRecord:  # fmt: skip
    detection = Detection.recorded(mode, reason, at_start) if mode is not None else None
    keys = {s: [tuple(k) for k in keys] for s, keys in requested.items()} if requested is not None else None
    plan = AsPlanned(at_start["definition"], at_start["types"]) if at_start and "types" in at_start else None
    return EntityRecord(status, detection, planned, keys, version, reconcile, deletes, seen, verification, done, plan)


_NOW = sql.SQL("clock_timestamp()")


def record_part(connection: Connection, run_id: str, entity: str, **columns: object) -> None:
    """Set these columns of the entity's part of the run; lists and dicts are kept as JSON."""
    answer(connection, part(run_id, entity, **columns))


def part(run_id: str, entity: str, **columns: object) -> Question[None]:
    """As `record_part`, to be sent together with other statements."""
    assignments = [
        sql.SQL("{} = {}").format(sql.Identifier(c), json.dumps(v) if isinstance(v, list | dict) else v)
        for c, v in columns.items()
    ]
    query = sql.SQL("update hybrid_sync.run_entity set {} where run_id = {} and entity = {}").format(
        sql.SQL(", ").join(assignments), run_id, entity
    )
    return Question(query, None, lambda _: None)


def record_plan(
    trip: Trip, run_id: str, entity: Entity, detection: Detection, planned: AsPlanned, version: int, batches: int,
    keys: int, seen: Mapping[str, Any] | None = None, warnings: Sequence[str] = (), hidden_rows: Sequence[str] = (),
) -> None:  # fmt: skip
    """How the entity is read, into how many batches it was cut, and what people should know of it; the first plan
    stays."""
    at_start = {
        "fence": detection.fence.model_dump() if detection.fence else None,
        "since": detection.since.isoformat() if detection.since else None,
        "until": detection.until.isoformat() if detection.until else None,
        **planned._asdict(),
    }
    trip.do(
        "update hybrid_sync.run_entity set status = 'planned', detection = %s, detection_reason = %s,"
        " fence_at_start = %s, fence_version = %s, batches_planned = %s, keys_planned = %s, seen = %s,"
        " planned_at = clock_timestamp(), columns = hybrid_sync.columns_of(%s)"
        " where run_id = %s and entity = %s and status = 'waiting'",
        (
            detection.mode, detection.reason, json.dumps(at_start), version, batches, keys,
            None if seen is None else json.dumps(dict(seen)), quoted(entity.target), run_id, entity.entity,
        ),
    )  # fmt: skip
    if warnings:  # beside what was said before
        trip.do(
            "update hybrid_sync.run_entity e set warnings = coalesce(e.warnings, '[]') || (select coalesce("
            " jsonb_agg(s), '[]') from jsonb_array_elements(%s::jsonb) s where not coalesce(e.warnings, '[]') @> s)"
            " where run_id = %s and entity = %s",
            (json.dumps(list(warnings)), run_id, entity.entity),
        )
    if hidden_rows:
        trip.ask(part(run_id, entity.entity, hidden_rows=list(hidden_rows)))


def batches_done(connection: Connection, run_id: str, entity: str) -> int:
    """How many of the entity's batches are recorded as done."""
    return read_entity(connection, run_id, entity).batches_done


def require_complete(entity: str, record: EntityRecord) -> None:
    """EntityIncomplete unless every planned batch is recorded as done."""
    if record.batches_planned is None:
        raise EntityIncomplete(f"Entity {entity} was not planned.", "See the run's failures, then start it again.")
    if record.batches_done < record.batches_planned:
        raise EntityIncomplete(
            f"Entity {entity} has {record.batches_done} of {record.batches_planned} batches.",
            "See the run's failures, then start it again.",
        )


def record_verdict(
    trip: Trip, run_id: str, entity: str, *, verified: bool, counted: Mapping[str, Any],
    asked: Sequence[Mapping[str, Any]],
) -> None:  # fmt: skip
    """What verification found, and what became of each row that the request names; the report reads it from here."""
    trip.ask(
        part(
            run_id, entity, status="verified" if verified else "incomplete", fence_advanced=False,
            conservation=counted["conservation"], money=counted["money"], reference_counts=counted["references"],
            asked=list(asked), verification=None, finished_at=_NOW,
        )
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


def begin_deletes(run_id: str, entity: str) -> Question[bool]:
    """Claim the listing of what has departed; False when another delivery has listed it."""
    return Question(
        "update hybrid_sync.run_entity set deletes = '{}' where run_id = %s and entity = %s and deletes is null",
        (run_id, entity),
        lambda found: found.rowcount == 1,
    )


def finish_run(connection: Connection, run_id: str, status: str) -> None:
    """End the run: nothing is written for it afterwards; one that has ended stays as it is."""
    connection.execute(finishing(run_id, status))


def finishing(run_id: str, status: str) -> sql.Composed:
    """The statement of `finish_run`, for whoever sends it with others."""
    return sql.SQL(
        "update hybrid_sync.run set status = {}, finished_at = clock_timestamp()"
        " where run_id = {} and status = 'running'"
    ).format(status, run_id)


def keep_report(connection: Connection, run_id: str, report: Mapping[str, Any]) -> None:
    """Keep the report as it was at the run's end; the first one stays.  Ends the transaction."""
    with together(connection, commits=True) as trip:
        trip.do("update hybrid_sync.run set report = %s where run_id = %s and report is null",
                (json.dumps(report), run_id))  # fmt: skip


def first_load_left_open(connection: Connection) -> bool:
    """Whether a table lacks what was dropped for its first load, or has it unproven."""
    return connection.execute("select from hybrid_sync.bulk_table where run_id is not null").fetchone() is not None

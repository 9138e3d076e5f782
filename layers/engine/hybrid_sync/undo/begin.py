"""A rollback begins: it stops the run that it undoes, holds what that run wrote, and rewinds its fences."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence, Set

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import Place, quoted
from hybrid_sync.contracts import OnFailure, RollbackTask
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import RequestRejected, no_such_run
from hybrid_sync.legacy.fence import Fence, older
from hybrid_sync.postgres import Connection
from hybrid_sync.runs.called import names_ever, names_now
from hybrid_sync.runs.holds import hold, require_no_rollback
from hybrid_sync.undo import JOURNAL_KEPT

READ_BY_KEY = 20_000
"""Undone keys up to which the next run reads them one by one; beyond, it reads the whole entity."""
_SECONDS = 3_600
"""What one call may take at the very most; each call renews it."""


@dataclass(frozen=True)
class Rollback:
    """A rollback under way, or one that has ended."""

    rollback_id: str
    run_id: str
    entities: tuple[str, ...]
    running: bool


def policy_of(connection: Connection, run_id: str) -> OnFailure:
    """What the run's request asks for when it fails; a run that is degraded, or that a person stopped, has not, and of
    one that was never recorded nothing is left."""
    row = connection.execute(
        "select request->>'on_failure', status from hybrid_sync.run where run_id = %s", (run_id,)
    ).fetchone()
    return OnFailure(row[0] or OnFailure.keep) if row and row[1] == "failed" else OnFailure.keep


def hold_unverified(connection: Connection, run_id: str) -> tuple[str, ...]:
    """Hold what a failed run left unverified; its names."""
    rows = connection.execute(
        "select entity from hybrid_sync.run_entity where run_id = %s and status <> 'verified' order by entity",
        (run_id,),
    ).fetchall()
    entities = tuple(str(row[0]) for row in rows)
    hold(connection, entities, run_id, f"Run {run_id} failed.")
    return entities


def begin(connection: Connection, catalog: Catalog, task: RollbackTask) -> Rollback:
    """Take the run's row first, so that whoever still writes for it stops; then hold, rewind, record.

    Goes on with a rollback of the run that has not ended.  RequestRejected says what stands in the way.
    """
    run = connection.execute(
        "select status, undone_by, started_at < clock_timestamp() - %s from hybrid_sync.run"
        " where run_id = %s for update",
        (JOURNAL_KEPT, task.run_id),
    ).fetchone()
    if run is None:
        raise no_such_run(task.run_id)
    status, undone_by, forgotten = run
    if (known := _known(connection, task)) is not None:
        return known
    if undone_by is not None and task.by_policy:
        return Rollback(undone_by, task.run_id, (), running=False)
    require_undoable(connection, task.run_id, undone_by, forgotten=forgotten)
    if status == "running":
        connection.execute(
            "update hybrid_sync.run set status = 'cancelled', finished_at = clock_timestamp() where run_id = %s",
            (task.run_id,),
        )
    return _create(connection, catalog, task)


def require_undoable(connection: Connection, run_id: str, undone_by: str | None, *, forgotten: bool) -> None:
    """RequestRejected where nothing is left of the run to undo, or nobody knows any more what there was before it."""
    if undone_by is not None and not _left_something(connection, undone_by):
        raise RequestRejected(
            f"Run {run_id} was rolled back by {undone_by} already.",
            f"To get its changes back, roll back {undone_by}, or release its entities and start a run.",
        )
    if forgotten:
        raise RequestRejected(
            f"Run {run_id} began more than {JOURNAL_KEPT.days} days ago, and its journal is gone.",
            "Correct the rows in legacy; the next run carries them over.",
        )


def _known(connection: Connection, task: RollbackTask) -> Rollback | None:
    """The rollback that this task goes on with: the one it names, or the one that has not ended."""
    row = connection.execute(
        "update hybrid_sync.run set deadline_at = clock_timestamp() + make_interval(secs => %s)"
        " where undoes = %s and (run_id = %s or (status = 'running' and %s = '')) returning run_id, status",
        (_SECONDS, task.run_id, task.rollback_id, task.rollback_id),
    ).fetchone()
    if row is None and task.rollback_id:
        raise RequestRejected(
            f"There is no rollback {task.rollback_id} of run {task.run_id}.", "List runs with `hybrid-sync status`."
        )
    return None if row is None else Rollback(row[0], task.run_id, _entities(connection, row[0]), row[1] == "running")


def _entities(connection: Connection, rollback: str) -> tuple[str, ...]:
    rows = connection.execute(
        "select entity from hybrid_sync.run_entity where run_id = %s order by wave desc, entity", (rollback,)
    ).fetchall()
    return tuple(str(row[0]) for row in rows)


def _left_something(connection: Connection, rollback: str) -> bool:
    return (
        connection.execute(
            "select from hybrid_sync.rollback_conflict where run_id = %(run)s union all"
            " select from hybrid_sync.run_entity where run_id = %(run)s and status = 'failed' limit 1",
            {"run": rollback},
        ).fetchone()
        is not None
    )


# --- begin -------------------------------------------------------------------------------------------------------


def _create(connection: Connection, catalog: Catalog, task: RollbackTask) -> Rollback:
    written = {
        (str(entity), str(source)): int(count)
        for entity, source, count in connection.execute(
            "select entity, source, sum(cardinality(keys)) from hybrid_sync.journal where run_id = %s"
            " group by entity, source",
            (task.run_id,),
        ).fetchall()
    }
    now = names_now(connection, catalog, task.run_id, written)
    keys: Counter[str] = Counter()
    then: dict[str, set[str]] = {}
    for name, count in written.items():
        keys[now[name][0]] += count
        then.setdefault(now[name][0], set()).add(name[0])
    row = connection.execute("select count(*) from hybrid_sync.run where undoes = %s", (task.run_id,)).fetchone()
    rollback = f"rollback-{task.run_id}-{(row[0] if row else 0) + 1}"
    require_no_rollback(connection, list(keys), "Let that one end, then start this one again.")
    connection.execute(
        "insert into hybrid_sync.run (run_id, profile, trigger, priority, request, fence, catalog_hash, deadline_at,"
        " undoes) select %s, 'rollback', %s, priority, %s, fence, %s, clock_timestamp() + make_interval(secs => %s),"
        " run_id from hybrid_sync.run where run_id = %s",
        (
            rollback, "policy" if task.by_policy else "person", task.model_dump_json(), catalog.hash, _SECONDS,
            task.run_id,
        ),
    )  # fmt: skip
    hold(connection, keys, rollback, f"Run {task.run_id} is rolled back.")
    if not task.out_of_order:
        require_last(connection, catalog, task.run_id, list(keys))
    waves = {entity: number for number, wave in enumerate(catalog.waves()) for entity in wave}
    for entity in sorted(keys):
        # One that the catalog has no more is held and fails when its first batch is to be undone; the others go on.
        place = quoted(catalog[entity].target) if entity in catalog.entities else None
        _rewind(connection, task.run_id, rollback, entity, then[entity], place, waves.get(entity, 0), keys[entity])
    connection.execute("select hybrid_sync.ensure_journal_partition(now())")
    connection.execute("select hybrid_sync.ensure_journal_partition(now() + interval '7 days')")
    return Rollback(rollback, task.run_id, _entities(connection, rollback), running=True)


def require_last(connection: Connection, catalog: Catalog, run_id: str, entities: Sequence[str]) -> None:
    """The last run goes first: what a later one wrote over a row cannot be taken away from under it.

    `entities` are names of now; what a later run wrote under such a name may have been other rows.
    """
    ever = names_ever(connection, catalog, entities)
    after: list[str] = []
    while later := _later(connection, run_id, ever, after):
        if any(place[0] in entities for place in names_now(connection, catalog, *later).values()):
            break
        after.append(later[0])
    if later is not None:
        raise RequestRejected(
            f"Run {later[0]} has written to the same entities since run {run_id}.",
            "Roll that one back first, or allow it with --out-of-order: rows that it wrote are then left alone.",
        )


def _later(
    connection: Connection, run_id: str, names: Sequence[str], but: Sequence[str]
) -> tuple[str, list[Place]] | None:  # fmt: skip
    """The last run behind this one that wrote under one of these names, and what it wrote under them."""
    row = connection.execute(
        "select j.run_id from hybrid_sync.journal j join hybrid_sync.run r on r.run_id = j.run_id"
        " where j.entity = any(%s) and j.run_id <> %s and j.run_id <> all(%s)"
        " and r.undoes is null and r.undone_by is null"
        " and j.seq > (select min(seq) from hybrid_sync.journal where run_id = %s)"
        " order by j.seq desc limit 1",
        (list(names), run_id, list(but), run_id),
    ).fetchone()
    if row is None:
        return None
    wrote = connection.execute(
        "select distinct entity, source from hybrid_sync.journal where run_id = %s and entity = any(%s)",
        (row[0], list(names)),
    ).fetchall()
    return str(row[0]), [(str(entity), str(source)) for entity, source in wrote]


def _rewind(
    connection: Connection, run_id: str, rollback: str, entity: str, then: Set[str], target: str | None, wave: int,
    keys: int,
) -> None:  # fmt: skip
    """Set the fence back; its new version makes every run in flight fail to advance it."""
    rows = connection.execute(
        "select f.fence, e.fence_at_start->'fence', "
        " e.detection in ('fence', 'full', 'timestamp') or r.undoes is not null"
        " from hybrid_sync.fence f left join (hybrid_sync.run_entity e join hybrid_sync.run r on r.run_id = e.run_id)"
        " on e.entity = any(%s) and e.run_id = %s where f.entity = %s for update of f",
        (sorted(then), run_id, entity),
    ).fetchall()
    now = rows[0][0] if rows else None
    fence = Fence.model_validate(now) if now else None
    for _, at_start, advances in rows:
        # A run of named keys or dates never moves a fence, so there is nothing to take back but the keys.
        if advances:
            fence = older(Fence.model_validate(at_start) if at_start else None, fence)
    if keys > READ_BY_KEY:
        fence = None
    connection.execute(
        "insert into hybrid_sync.fence as f (entity, fence, version, run_id, advanced_at)"
        " values (%s, %s, 1, %s, clock_timestamp()) on conflict (entity) do update set fence = excluded.fence,"
        " version = f.version + 1, run_id = excluded.run_id, advanced_at = excluded.advanced_at",
        (entity, fence.model_dump_json() if fence else None, rollback),
    )
    connection.execute(
        "insert into hybrid_sync.run_entity (run_id, entity, wave, status, fence_at_start, keys_planned, planned_at,"
        " columns) values (%s, %s, %s, 'planned', %s, %s, clock_timestamp(), hybrid_sync.columns_of(%s))",
        (rollback, entity, wave, json.dumps({"fence": now, "since": None, "until": None}), keys, target),
    )

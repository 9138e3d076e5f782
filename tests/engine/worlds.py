"""A world for engine tests: real PostgreSQL on both sides, the AWS parts in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.compare.reconcile import SEGMENT_ROWS
from hybrid_sync.contracts import (
    BatchResult,
    BatchTask,
    DeleteTask,
    EntityTask,
    EntityVerdict,
    FailureMessage,
    Key,
    LinkTask,
    Manifest,
    Message,
    PageKind,
    PlannedRun,
    Profile,
    ReportRequest,
    RunFailure,
    RunOutcome,
    RunRequest,
    SegmentTask,
    SettleTask,
)
from hybrid_sync.errors import SyncError
from hybrid_sync.postgres import Connection, connect
from hybrid_sync.steps.compare_segment import compare_segment
from hybrid_sync.steps.confirm_differences import confirm_differences
from hybrid_sync.steps.link_references import link_references
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.propagate_deletes import propagate_deletes
from hybrid_sync.steps.recheck_entity import recheck_entity
from hybrid_sync.steps.reconcile_entity import reconcile_entity
from hybrid_sync.steps.record_failure import record_failure
from hybrid_sync.steps.report_run import report_run
from hybrid_sync.steps.settle_uniques import settle_uniques
from hybrid_sync.steps.sync_batch import sync_batch
from hybrid_sync.steps.verify_entity import verify_entity
from hybrid_sync.world import ProfileLimits


class MemoryIdCache:
    """The id cache as a dict."""

    def __init__(self) -> None:
        self.ids: dict[tuple[str, str, int, Key], bytes] = {}

    def get(self, entity: str, source: str, epoch: int, keys: Collection[Key]) -> dict[Key, bytes]:
        return {k: self.ids[entity, source, epoch, k] for k in keys if (entity, source, epoch, k) in self.ids}

    def put(self, entity: str, source: str, epoch: int, ids: Mapping[Key, bytes]) -> None:
        self.ids.update({(entity, source, epoch, key): uuid for key, uuid in ids.items()})


class MemoryManifests:
    def __init__(self) -> None:
        self.tasks: dict[tuple[str, str], list[Message]] = {}

    def write_once(self, run_id: str, entity: str, tasks: Sequence[Message]) -> Manifest:
        kept = self.tasks.setdefault((run_id, entity), list(tasks))
        return Manifest("memory", f"{run_id}/{entity}", len(kept))

    def read(self, run_id: str, entity: str) -> list[BatchTask] | None:
        kept = self.tasks.get((run_id, entity))
        return None if kept is None else [task for task in kept if isinstance(task, BatchTask)]


class MemoryReports:
    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.pages: dict[tuple[str, PageKind], str] = {}

    def write(self, run_id: str, document: Mapping[str, Any]) -> str:
        self.documents[run_id] = dict(document)
        return f"memory://{run_id}"

    def write_page(self, run_id: str, kind: PageKind, text: str) -> str:
        self.pages[run_id, kind] = text
        return f"memory://{run_id}.{kind}"

    def read(self, run_id: str) -> dict[str, Any] | None:
        return self.documents.get(run_id)


@dataclass
class MemoryQueue:
    messages: list[FailureMessage] = field(default_factory=list)

    def send(self, messages: Sequence[FailureMessage]) -> None:
        self.messages += messages


@dataclass
class MemoryAlerts:
    published: list[tuple[str, str]] = field(default_factory=list)

    def publish(self, subject: str, body: str) -> None:
        self.published.append((subject, body))


@dataclass
class MemoryExecutions:
    """What Step Functions would say of each run; nothing of those that it does not know."""

    states: dict[str, str] = field(default_factory=dict)

    def status(self, run_id: str) -> str | None:
        return self.states.get(run_id)


class EngineWorld:
    """`hybrid_sync.world.World` for tests."""

    def __init__(self, catalog: Catalog, legacy_dsn: str, target_dsn: str) -> None:
        self.catalog = catalog
        self.legacy_dsn = legacy_dsn
        self.target_dsn = target_dsn
        self.id_secret = b"a secret for tests"
        self.id_cache = MemoryIdCache()
        self.manifests = MemoryManifests()
        self.reports = MemoryReports()
        self.failure_queue = MemoryQueue()
        self.alerts = MemoryAlerts()
        self.executions = MemoryExecutions()
        self.segment_rows = SEGMENT_ROWS

    def limits(self, profile: Profile) -> ProfileLimits:
        return ProfileLimits(5_000, 3_600)

    def connect_legacy(self) -> Connection:
        return connect(self.legacy_dsn, "legacy")

    def connect_target(self) -> Connection:
        return connect(self.target_dsn, "target")

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class Run:
    """Everything that one run of the state machine's steps answered."""

    plan: PlannedRun
    batches: dict[str, list[BatchResult]]
    verdicts: dict[str, EntityVerdict]
    outcome: RunOutcome

    def total(self, entity: str) -> dict[str, int]:
        names = BatchResult.model_fields
        return {name: sum(getattr(b, name) for b in self.batches[entity]) for name in names}


def run(world: EngineWorld, run_id: str, **request: Any) -> Run:
    """The steps in the order of the state machine, without retries."""
    plan = plan_run(world, RunRequest(run_id=run_id, **request))
    batches: dict[str, list[BatchResult]] = {}
    for wave in plan.waves:
        for task in wave:
            batches[task.entity] = []
            try:
                plan_entity(world, task)
                planned = world.manifests.read(run_id, task.entity) or []
                for batch in planned:
                    batches[task.entity].append(sync_batch(world, batch))
                if planned:
                    settle_uniques(world, SettleTask(run_id=run_id, entity=task.entity))
            except SyncError as error:
                record_failure(world, _failure(run_id, task.entity, "SyncBatch", error))
    while link_references(world, LinkTask(run_id=run_id)).more:
        pass
    if plan.profile in (Profile.weekly, Profile.verify):
        for task in plan.entities:
            try:
                batches.setdefault(task.entity, []).extend(reconcile(world, task))
            except SyncError as error:
                record_failure(world, _failure(run_id, task.entity, "ReconcileEntity", error))
    while propagate_deletes(world, DeleteTask(run_id=run_id)).more:
        pass
    settle_uniques(world, SettleTask(run_id=run_id))
    verdicts: dict[str, EntityVerdict] = {}
    for task in plan.entities:
        try:
            verdicts[task.entity] = verify_entity(world, task)
        except SyncError as error:
            record_failure(world, _failure(run_id, task.entity, "VerifyEntity", error))
    return Run(plan, batches, verdicts, report_run(world, ReportRequest(run_id=run_id)))


def reconcile(world: EngineWorld, task: EntityTask) -> list[BatchResult]:
    """Compare, confirm, heal and look again; the results of the heal batches."""
    todo = reconcile_entity(world, task, world.segment_rows)
    if todo.segments:
        for segment in world.manifests.tasks[task.run_id, f"{task.entity}.segments"]:
            assert isinstance(segment, SegmentTask)
            compare_segment(world, segment)
        todo = confirm_differences(world, task)
    if not todo.batches:
        return []
    healed = [sync_batch(world, batch) for batch in world.manifests.read(task.run_id, f"{task.entity}.heal") or []]
    settle_uniques(world, SettleTask(run_id=task.run_id, entity=task.entity))
    recheck_entity(world, task)
    return healed


def _failure(run_id: str, entity: str, state: str, error: SyncError) -> RunFailure:
    return RunFailure(run_id=run_id, entity=entity, state=state, error=error.code, cause=str(error))

"""A world for engine tests: real PostgreSQL on both sides, the AWS parts in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from hybrid_sync.alerts import Alert
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.check.context import Parts
from hybrid_sync.compare.reconcile import SEGMENT_ROWS
from hybrid_sync.contracts import (
    BatchResult,
    BatchTask,
    EntityTask,
    EntityVerdict,
    FailureMessage,
    Key,
    Manifest,
    Message,
    PageKind,
    PlannedRun,
    Profile,
    RunFailure,
    RunOutcome,
    RunRequest,
    SyncedKeys,
)
from hybrid_sync.erase.records import Erasure
from hybrid_sync.ids.idmap import PAGE, WIDTH
from hybrid_sync.keys import decode_part
from hybrid_sync.pool import Pool
from hybrid_sync.postgres import Connection
from hybrid_sync.world import ProfileLimits
from hybrid_sync_cli.flow.deployed import flow
from hybrid_sync_cli.flow.execution import Execution, Items
from tests.flow.conduct import conduct
from tests.flow.functions import Functions, Steps


class MemoryIdCache:
    """The id cache as a dict."""

    def __init__(self) -> None:
        self.ids: dict[tuple[str, str, int, Key], bytes] = {}

    def get(self, entity: str, source: str, epoch: int, keys: Collection[Key]) -> dict[Key, bytes]:
        return {k: self.ids[entity, source, epoch, k] for k in keys if (entity, source, epoch, k) in self.ids}

    def get_filled(self, entity: str, source: str, epoch: int, fields: Collection[bytes]) -> dict[bytes, bytes]:
        keys = {decode_part(field): field for field in fields}
        return {keys[n]: uuid for (n,), uuid in self.get(entity, source, epoch, [(n,) for n in keys]).items()}

    def pages(self, entity: str, source: str, epoch: int, numbers: Collection[int]) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for number in numbers:
            keys = [(n,) for n in range(number * PAGE, (number + 1) * PAGE)]
            if ids := self.get(entity, source, epoch, keys):
                found[number] = b"".join(ids.get(key, bytes(WIDTH)) for key in keys)
        return found

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

    def lines(self, bucket: str, key: str) -> list[dict[str, Any]]:
        """As a map of the state machine reads them; LookupError when nothing was written."""
        run_id, _, entity = key.rpartition("/")
        return [task.model_dump(mode="json") for task in self.tasks[run_id, entity]]


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
    """What people were told, as mail: subject and body."""

    published: list[tuple[str, str]] = field(default_factory=list)

    def publish(self, alert: Alert) -> None:
        self.published.append((alert.subject, alert.body))


@dataclass
class MemoryExecutions:
    """What Step Functions would say of each run; nothing of those that it does not know."""

    states: dict[str, str] = field(default_factory=dict)

    failures: dict[str, RunFailure] = field(default_factory=dict)

    def status(self, run_id: str) -> str | None:
        return self.states.get(run_id)

    def failure(self, run_id: str) -> RunFailure | None:
        return self.failures.get(run_id)


class MemoryErasures:
    """The list of the erased outside the target, as a dict."""

    def __init__(self) -> None:
        self.kept: dict[int, Erasure] = {}

    def numbers(self) -> list[int]:
        return sorted(self.kept)

    def read(self, number: int) -> Erasure:
        return self.kept[number]

    def write(self, erasure: Erasure) -> bool:
        return self.kept.setdefault(erasure.number, erasure) is erasure


class EngineWorld:
    """`hybrid_sync.world.World` for tests."""

    def __init__(self, catalog: Catalog, legacy_dsn: str, target_dsn: str) -> None:
        self.catalog = catalog
        self.legacy_dsn = legacy_dsn
        self.target_dsn = target_dsn
        self.build = ""
        self.id_secret = b"ordered:a secret for tests"
        self.id_cache = MemoryIdCache()
        self.manifests = MemoryManifests()
        self.reports = MemoryReports()
        self.failure_queue = MemoryQueue()
        self.alerts = MemoryAlerts()
        self.executions = MemoryExecutions()
        self.erasures = MemoryErasures()
        self.parts: Parts | None = None
        self.workers = 15
        self.segment_rows = SEGMENT_ROWS
        self.flow = flow(Retries=0)
        self.pool = Pool()

    def limits(self, profile: Profile) -> ProfileLimits:
        return ProfileLimits(5_000, 3_600)

    def connect_legacy(self) -> Connection:
        return self.pool.connect(self.legacy_dsn, "legacy")

    def connect_target(self) -> Connection:
        return self.pool.connect(self.target_dsn, "target")

    def connect_both(self) -> tuple[Connection, Connection]:
        addresses = (self.legacy_dsn, None), (self.target_dsn, None)
        return self.pool.at_once(self.connect_legacy, self.connect_target, addresses)

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class Run:
    """Everything that the steps of one run answered."""

    plan: PlannedRun
    batches: dict[str, list[BatchResult]]
    verdicts: dict[str, EntityVerdict]
    outcome: RunOutcome

    def total(self, entity: str) -> dict[str, int]:
        names = BatchResult.model_fields
        return {name: sum(getattr(b, name) for b in self.batches[entity]) for name in names}


def run(world: EngineWorld, run_id: str, **request: Any) -> Run:
    """A run of the state machine, without retries.

    A failure that costs a batch or an entity is recorded, as the flow has it; one that breaks the run off is raised
    once the flow has ended.
    """
    functions = functions_of(world)
    conduct(execution(world, run_id, **request), functions)
    for delivery, error in functions.errors:
        if not delivery.items:
            raise error
    [(_, outcome)] = [*functions.said(RunOutcome), *_at_once(functions)]
    planned = [plan for _, plan in functions.said(PlannedRun)]
    if not planned:
        return _recorded(world, run_id, outcome)
    [plan] = planned
    batches: dict[str, list[BatchResult]] = {task.entity: [] for task in plan.entities}
    for task, result in functions.said(BatchResult):
        batches[task.entity].append(result)
    verdicts = {task.entity: verdict for task, verdict in functions.said(EntityVerdict)}
    return Run(plan, batches, verdicts, outcome)


def _at_once(functions: Functions) -> Iterator[tuple[Any, RunOutcome]]:
    """Of a run of a few keys, which one function has carried and reported."""
    return ((given, said.outcome) for given, said in functions.said(SyncedKeys) if said.outcome is not None)


def _recorded(world: EngineWorld, run_id: str, outcome: RunOutcome) -> Run:
    """The same of a run that no step has said in parts: as it stands in the target."""
    with world.connect_target() as target:
        entities = target.execute(
            "select wave, entity, status = 'verified', fence_advanced from hybrid_sync.run_entity where run_id = %s"
            " order by wave, entity",
            (run_id,),
        ).fetchall()
        done = target.execute(
            "select entity, result from hybrid_sync.batch_done where run_id = %s order by entity, source", (run_id,)
        ).fetchall()
        profile = target.execute("select profile from hybrid_sync.run where run_id = %s", (run_id,)).fetchall()[0][0]
    tasks = {entity: EntityTask(run_id=run_id, entity=entity) for _, entity, *_ in entities}
    waves = tuple(
        tuple(tasks[entity] for _, entity, *_ in wave) for _, wave in groupby(entities, key=lambda row: row[0])
    )
    verdicts = {
        entity: EntityVerdict(
            run_id=run_id, entity=entity, complete=True, conserved=verified, fence_advanced=advanced
        )
        for _, entity, verified, advanced in entities
    }  # fmt: skip
    batches = {name: [BatchResult.model_validate(r) for entity, r in done if entity == name] for name in tasks}
    plan = PlannedRun(run_id=run_id, profile=profile, waves=waves, entities=tuple(tasks.values()))
    return Run(plan, batches, verdicts, outcome)


def execution(world: EngineWorld, run_id: str, items: Items | None = None, **request: Any) -> Execution:
    """The state machine about to run over a world; it reads the world's manifests, or these."""
    given = RunRequest(run_id=run_id, **request).model_dump(mode="json", exclude={"run_id"}, exclude_unset=True)
    return Execution(world.flow, run_id, given, items or world.manifests.lines)


def functions_of(world: EngineWorld) -> Functions:
    """Whom the state machine invokes in a world."""
    return Functions(Steps(world, world.segment_rows))

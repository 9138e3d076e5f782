"""The one place that builds things: a deployment's settings in, a world of parts out, a method per function.

Each method imports its step when it is first called, so that a function loads only what it runs.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from hybrid_sync.aws import client, refusals
from hybrid_sync.contracts import (
    BatchResult,
    BatchTask,
    ComparedSegment,
    DeleteResult,
    DeleteTask,
    EntityTask,
    EntityVerdict,
    FailureMessage,
    LinkResult,
    LinkTask,
    PlannedEntity,
    PlannedRun,
    Profile,
    RecheckedEntity,
    ReconciledEntity,
    ReportRequest,
    RollbackOutcome,
    RollbackTask,
    RunFailure,
    RunOutcome,
    SegmentTask,
    SettleResult,
    SettleTask,
    StartedRun,
)
from hybrid_sync.errors import ConfigurationMissing, RecordsStillFail
from hybrid_sync.failures.cause import plain
from hybrid_sync.failures.queue import SqsFailureQueue
from hybrid_sync.report.notify import SnsAlerts
from hybrid_sync.runs.manifest import S3Manifests, S3Reports
from hybrid_sync.settings import Settings
from hybrid_sync.world import ProfileLimits

if TYPE_CHECKING:
    from hybrid_sync.catalog.catalog import Catalog
    from hybrid_sync.http.authorizer import Authorizer
    from hybrid_sync.http.routes import Api
    from hybrid_sync.ids.cache import DynamoIdCache
    from hybrid_sync.postgres import Connection
    from hybrid_sync.runs.starter import RunStarter

SECRET_SECONDS = 300
"""How long a worker uses what it read from Secrets Manager; a changed password is picked up after that."""


class Connections(BaseModel):
    """The secret's content; text fields are SecretStr so that no log or error can print them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    legacy_dsn: SecretStr | None = None
    target_dsn: SecretStr | None = None
    id_secret: SecretStr | None = None

    def need(self, field: str) -> str:
        """ConfigurationMissing when the secret does not hold the field."""
        value: SecretStr | None = getattr(self, field)
        if value is None or not value.get_secret_value():
            raise ConfigurationMissing(
                f"The secret ConnectionSecret holds no {field}.",
                "Fill it in with: aws secretsmanager put-secret-value (keep the other fields).",
            )
        return value.get_secret_value()


class DeployedWorld:
    """`hybrid_sync.world.World` over a deployment; a part is made when it is first used."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._secrets: tuple[float, Connections] | None = None

    @cached_property
    def catalog(self) -> Catalog:
        from hybrid_sync.catalog.load import load

        return load()

    @property
    def id_secret(self) -> bytes:
        return self._connections().need("id_secret").encode()

    @cached_property
    def id_cache(self) -> DynamoIdCache:
        from hybrid_sync.ids.cache import DynamoIdCache

        return DynamoIdCache(self._settings.need("id_map_table"), client("dynamodb"), self.id_secret)

    @cached_property
    def manifests(self) -> S3Manifests:
        return S3Manifests(self._settings.need("data_bucket"), client("s3"))

    @cached_property
    def reports(self) -> S3Reports:
        return S3Reports(self._settings.need("data_bucket"), client("s3"))

    @cached_property
    def failure_queue(self) -> SqsFailureQueue:
        return SqsFailureQueue(
            self._settings.need("failed_queue_url"),
            client("sqs"),
            retry_delay_seconds=self._settings.retry_delay_seconds,
        )

    @cached_property
    def alerts(self) -> SnsAlerts:
        return SnsAlerts(self._settings.need("alert_topic"), client("sns"))

    @cached_property
    def executions(self) -> RunStarter:
        from hybrid_sync.runs.starter import RunStarter

        return RunStarter(self._settings.need("state_machine"), client("stepfunctions"))

    def limits(self, profile: Profile) -> ProfileLimits:
        return self._settings.limits(profile)

    def connect_legacy(self) -> Connection:
        from hybrid_sync.postgres import connect

        return connect(self._connections().need("legacy_dsn"), "legacy")

    def connect_target(self) -> Connection:
        from hybrid_sync.postgres import connect

        return connect(self._connections().need("target_dsn"), "target")

    def now(self) -> datetime:
        return datetime.now(UTC)

    def _connections(self) -> Connections:
        now = self.now().timestamp()
        if self._secrets is None or now - self._secrets[0] > SECRET_SECONDS:
            with refusals("the connection secret"):
                answer = client("secretsmanager").get_secret_value(SecretId=self._settings.need("secret"))
            try:
                held = Connections.model_validate(json.loads(answer["SecretString"]))
            except (ValueError, ValidationError):
                raise ConfigurationMissing(
                    "The secret ConnectionSecret does not hold a JSON object of texts.",
                    'Write it as {"legacy_dsn": "…", "target_dsn": "…", "id_secret": "…"}.',
                ) from None
            self._secrets = (now, held)
        return self._secrets[1]


class App:
    """What the functions call: one method each."""

    def __init__(self, world: DeployedWorld) -> None:
        self.world = world
        self._recorded_peaks: dict[str, int] = {}

    def plan_run(self, started: StartedRun) -> PlannedRun:
        from hybrid_sync.steps.plan_run import plan_run

        return plan_run(self.world, started.request.model_copy(update={"run_id": started.run_id}))

    def plan_entity(self, task: EntityTask) -> PlannedEntity:
        from hybrid_sync.steps.plan_entity import plan_entity

        return plan_entity(self.world, task)

    def sync_batch(self, task: BatchTask) -> BatchResult:
        from hybrid_sync.steps.sync_batch import sync_batch

        return sync_batch(self.world, task)

    def settle_uniques(self, task: SettleTask) -> SettleResult:
        from hybrid_sync.steps.settle_uniques import settle_uniques

        return settle_uniques(self.world, task)

    def link_references(self, task: LinkTask) -> LinkResult:
        from hybrid_sync.steps.link_references import link_references

        return link_references(self.world, task)

    def reconcile_entity(self, task: EntityTask) -> ReconciledEntity:
        from hybrid_sync.steps.reconcile_entity import reconcile_entity

        return reconcile_entity(self.world, task)

    def compare_segment(self, task: SegmentTask) -> ComparedSegment:
        from hybrid_sync.steps.compare_segment import compare_segment

        return compare_segment(self.world, task)

    def confirm_differences(self, task: EntityTask) -> ReconciledEntity:
        from hybrid_sync.steps.confirm_differences import confirm_differences

        return confirm_differences(self.world, task)

    def recheck_entity(self, task: EntityTask) -> RecheckedEntity:
        from hybrid_sync.steps.recheck_entity import recheck_entity

        return recheck_entity(self.world, task)

    def propagate_deletes(self, task: DeleteTask) -> DeleteResult:
        from hybrid_sync.steps.propagate_deletes import propagate_deletes

        return propagate_deletes(self.world, task)

    def verify_entity(self, task: EntityTask) -> EntityVerdict:
        from hybrid_sync.steps.verify_entity import verify_entity

        return verify_entity(self.world, task)

    def report_run(self, request: ReportRequest) -> RunOutcome:
        from hybrid_sync.steps.report_run import report_run

        failure = None if request.failure is None else plain(request.failure)
        return report_run(self.world, request.model_copy(update={"failure": failure}))

    def rollback_run(self, task: RollbackTask) -> RollbackOutcome:
        from hybrid_sync.steps.rollback_run import rollback_run

        return rollback_run(self.world, task)

    def record_failure(self, failure: RunFailure) -> None:
        from hybrid_sync.steps.record_failure import record_failure

        record_failure(self.world, plain(failure))

    def retry_failure(self, message: FailureMessage) -> BatchResult:
        """Raises RecordsStillFail unless every record is resolved, so that the queue delivers it again."""
        from hybrid_sync.steps.retry_failure import retry_failure

        result = retry_failure(self.world, message)
        if result.failed:
            raise RecordsStillFail(f"{result.failed} records failed again.")
        return result

    def postpone(self, receipt_handle: str, receive_count: int) -> None:
        """When a failed message shall come back."""
        self.world.failure_queue.postpone(receipt_handle, receive_count)

    def escalate_failure(self, messages: Sequence[FailureMessage]) -> None:
        from hybrid_sync.steps.escalate_failure import escalate_failure

        escalate_failure(self.world, messages)

    def record_worker(self, *, run_id: str, function: str, worker: str, peak_rss_kib: int, memory_mib: int) -> None:
        """Record a worker's peak memory when it has grown: a connection for each one would be dear."""
        if peak_rss_kib <= self._recorded_peaks.get(run_id, 0):
            return
        from hybrid_sync.postgres import transaction
        from hybrid_sync.runs.store import record_worker

        with self.world.connect_target() as target, transaction(target, "target"):
            record_worker(target, run_id, function, worker, peak_rss_kib, memory_mib)
        self._recorded_peaks = {run_id: peak_rss_kib}


@functools.cache
def app() -> App:
    """The app of this worker; ConfigurationMissing when the environment is wrong."""
    return App(DeployedWorld(Settings.from_environment()))


@functools.cache
def api() -> Api:
    """The HTTP trigger's routes."""
    from hybrid_sync.http.routes import Api
    from hybrid_sync.runs.starter import RunStarter

    settings = Settings.from_environment()
    world = DeployedWorld(settings)
    starter = RunStarter(settings.need("state_machine"), client("stepfunctions"))
    return Api(world.catalog, starter, world.reports)


@functools.cache
def authorizer() -> Authorizer:
    """Who may call the HTTP trigger."""
    from hybrid_sync.http.authorizer import Authorizer
    from hybrid_sync.http.tokens import Tokens

    return Authorizer(Tokens(Settings.from_environment().need("control_table"), client("dynamodb")))

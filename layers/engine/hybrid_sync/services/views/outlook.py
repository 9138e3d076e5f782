"""What an overview needs beyond the target: clocks, queues, logs, and whether anybody answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from hybrid_sync.aws import Client, refusals
from hybrid_sync.contracts import Profile
from hybrid_sync.errors import SyncError
from hybrid_sync.failures.queue import SqsFailureQueue
from hybrid_sync.postgres import Connection
from hybrid_sync.report.words import run_title
from hybrid_sync.runs.manifest import S3Reports
from hybrid_sync.services.views.schedule import Schedule
from hybrid_sync.services.views.servers import Servers, asked_of

if TYPE_CHECKING:
    from hybrid_sync.services.answered import Gateway
    from hybrid_sync.services.log_lines import RunLogs

FAILED, GIVEN_UP = "failed", "given up"
LOOKS_BACK = timedelta(minutes=5)
"""Lambda's own numbers are some minutes late."""
KEPT = timedelta(minutes=1)
"""How long a worker believes CloudWatch."""
SILENT = timedelta(minutes=15)
"""How long it is not asked again where it does not answer: a VPC may have no way to it."""


class DeploymentSettings(Protocol):
    """The part of the deployment's settings that views read."""

    @property
    def weekly_schedule(self) -> str: ...

    @property
    def daily_enabled(self) -> bool: ...

    @property
    def daily_schedule(self) -> str: ...

    @property
    def hourly_enabled(self) -> bool: ...

    @property
    def hourly_schedule(self) -> str: ...

    @property
    def schedule_time_zone(self) -> str: ...

    def need(self, field: str) -> str: ...


class Outlook:
    """One deployment's; each part is asked when it is looked at."""

    def __init__(
        self,
        settings: DeploymentSettings,
        client: Callable[[str], Client],
        connect_legacy: Callable[[], Connection],
        connect_target: Callable[[], Connection],
        cloudwatch: Callable[[], Client],
    ) -> None:
        self._settings = settings
        self._client = client
        self._connect = (connect_legacy, connect_target)
        self._cloudwatch = cloudwatch
        self._refused: tuple[datetime, str] | None = None
        """Until when it is believed, and what was said."""

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """The clocks that start runs; those that are switched on."""
        settings = self._settings
        daily = settings.daily_schedule if settings.daily_enabled else ""
        hourly = settings.hourly_schedule if settings.hourly_enabled else ""
        clocks = ((Profile.weekly, settings.weekly_schedule), (Profile.daily, daily), (Profile.hourly, hourly))
        return tuple(
            Schedule(run_title(profile), said, settings.schedule_time_zone, profile) for profile, said in clocks if said
        )

    @property
    def gateway(self) -> Gateway:
        """How the deployment's API has answered."""
        from hybrid_sync.services.answered import Gateway

        return Gateway(self._settings.need("api_name"), self._cloudwatch())

    @cached_property
    def servers(self) -> Servers:
        """The databases, and the parts that hold something."""
        parts = {
            "Control table": self._look_at_control_table, "Data bucket": self._look_at_bucket,
            "Queue of failed records": lambda: self.messages(FAILED),
        }  # fmt: skip
        return Servers({**asked_of(*self._connect, self._look_at_id_map), **parts})

    @cached_property
    def logs(self) -> RunLogs:
        """Of the functions that work for runs."""
        from hybrid_sync.services.log_lines import RunLogs, groups_beside

        return RunLogs(groups_beside(self._settings.need("function")), self._client("logs"))

    def messages(self, queue: str) -> int:
        """How many there are in the queue FAILED or GIVEN_UP; AwsUnavailable."""
        need = self._settings.need
        url = need("failed_queue_url") if queue == FAILED else need("dead_letter_queue_url")
        return SqsFailureQueue(url, self._client("sqs")).length()

    def refused_calls(self, now: datetime) -> str:
        """Whether Lambda has refused calls for want of capacity a moment ago; empty where CloudWatch does not answer.

        Nobody else knows: a state of the machine whose function was refused comes again later, and says nothing.
        """
        if self._refused is None or self._refused[0] <= now:
            try:
                self._refused = now + KEPT, self._ask_for_refused(now)
            except SyncError:
                self._refused = now + SILENT, ""
        return self._refused[1]

    def _ask_for_refused(self, now: datetime) -> str:
        with refusals("CloudWatch"):
            found = self._cloudwatch().get_metric_statistics(
                Namespace="AWS/Lambda", MetricName="Throttles", StartTime=now - LOOKS_BACK, EndTime=now, Period=60,
                Statistics=["Sum"],
            )["Datapoints"]  # fmt: skip
        at = max((point["Timestamp"] for point in found if point["Sum"] > 0), default=None)
        return f"Lambda has refused calls for want of capacity, at {at:%H:%M} UTC the last time." if at else ""

    def _look_at_bucket(self) -> None:
        S3Reports(self._settings.need("data_bucket"), self._client("s3")).read("health")

    def _look_at_control_table(self) -> None:
        self._look_at_table("control_table", "the control table")

    def _look_at_id_map(self) -> None:
        self._look_at_table("id_map_table", "the id map")

    def _look_at_table(self, field: str, title: str) -> None:
        table = self._settings.need(field)
        with refusals(title):
            self._client("dynamodb").get_item(TableName=table, Key={"pk": {"S": "health"}})

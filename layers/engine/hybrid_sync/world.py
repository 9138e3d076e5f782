"""What a step may use: the databases, the catalog, and the part of each AWS service that is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from hybrid_sync.alerts import Alert
from hybrid_sync.contracts import BatchTask, FailureMessage, Manifest, Message, PageKind, Profile, RunFailure
from hybrid_sync.dataclass import dataclass

if TYPE_CHECKING:  # the functions that touch no database start without its driver
    from hybrid_sync.catalog.catalog import Catalog
    from hybrid_sync.check.context import Parts
    from hybrid_sync.erase.records import Erasures
    from hybrid_sync.ids.idmap import IdCache
    from hybrid_sync.postgres import Connection

AGAIN_HOURS = 8


@dataclass(frozen=True)
class ProfileLimits:
    """What a profile does when its request says nothing else."""

    batch_size: int
    deadline_seconds: int
    again_hours: float = AGAIN_HOURS
    """For so long after it was due a scheduled run may be started again; zero is never."""


class Manifests(Protocol):
    """Lists of tasks, such as an entity's batches; the first one written stays, so a repeated plan agrees with it."""

    def write_once(self, run_id: str, entity: str, tasks: Sequence[Message]) -> Manifest: ...

    def read(self, run_id: str, entity: str) -> list[BatchTask] | None: ...


class Reports(Protocol):
    """Run reports as JSON documents, and as pages for people; both return where they are, as s3://bucket/key."""

    def write(self, run_id: str, document: Mapping[str, Any]) -> str: ...

    def write_page(self, run_id: str, kind: PageKind, text: str) -> str: ...

    def read(self, run_id: str) -> dict[str, Any] | None: ...


class FailureQueue(Protocol):
    """Failed records on their way to a retry."""

    def send(self, messages: Sequence[FailureMessage]) -> None: ...


class Executions(Protocol):
    """Executions of the state machine, by run id."""

    def status(self, run_id: str) -> str | None:
        """running, succeeded, failed, cancelled or lost; None where it is not known."""
        ...

    def failure(self, run_id: str) -> RunFailure | None:
        """What ended an execution that failed; None of any other."""
        ...


class Alerts(Protocol):
    """Messages to people: codes and counts, never a cell value."""

    def publish(self, alert: Alert) -> None: ...


class World(Protocol):
    """Built by `wiring` from the deployment, by tests from fakes; parts are made when they are first used."""

    @property
    def catalog(self) -> Catalog: ...

    @property
    def build(self) -> str:
        """The deployment that this code belongs to; empty where nothing is deployed."""
        ...

    @property
    def id_secret(self) -> bytes: ...

    @property
    def id_cache(self) -> IdCache: ...

    @property
    def manifests(self) -> Manifests: ...

    @property
    def reports(self) -> Reports: ...

    @property
    def failure_queue(self) -> FailureQueue: ...

    @property
    def alerts(self) -> Alerts: ...

    @property
    def executions(self) -> Executions: ...

    @property
    def parts(self) -> Parts | None:
        """The deployment's own in AWS, for a check; None where there is no AWS."""
        ...

    @property
    def workers(self) -> int:
        """Functions that may be at work at the same time, each with a connection to either side."""
        ...

    @property
    def erasures(self) -> Erasures:
        """Who was erased, outside the target."""
        ...

    def limits(self, profile: Profile) -> ProfileLimits: ...

    def connect_legacy(self) -> Connection: ...

    def connect_target(self) -> Connection: ...

    def connect_both(self) -> tuple[Connection, Connection]:
        """Legacy and the target; sessions that have to be opened are opened at the same time."""
        ...

    def now(self) -> datetime: ...


@contextmanager
def both_sides(world: World) -> Iterator[tuple[Connection, Connection]]:
    """Legacy and the target until the block ends."""
    legacy, target = world.connect_both()
    with legacy, target:
        yield legacy, target

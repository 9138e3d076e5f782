"""What a service may use of the deployment, and the transactions in which it asks the target."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, LiteralString, Protocol

from hybrid_sync.contracts import Key
from hybrid_sync.errors import ConfigurationMissing, Side, StructureMismatch
from hybrid_sync.postgres import Connection, send_with_next, transaction
from hybrid_sync.services.messages import Asked as Asked

if TYPE_CHECKING:
    from hybrid_sync.admission.gate import Standing
    from hybrid_sync.admission.job import Job
    from hybrid_sync.admission.order import Slots
    from hybrid_sync.admission.startable import Startable
    from hybrid_sync.breaker.state import Breaker
    from hybrid_sync.catalog.catalog import Catalog
    from hybrid_sync.catalog.webhooks import Webhooks
    from hybrid_sync.contracts import FailureMessage, RollbackOutcome, RollbackTask, RunFailure
    from hybrid_sync.erase.records import Erasures
    from hybrid_sync.ids.cache import CacheCounts
    from hybrid_sync.runs.starter import RunState
    from hybrid_sync.services.views.outlook import Outlook
    from hybrid_sync.webhooks.keyring import Held
    from hybrid_sync.webhooks.signatures import Secret as Signing

LIMITS: tuple[LiteralString, ...] = ("set local statement_timeout = '18s'", "set local lock_timeout = '8s'")
"""API Gateway ends a call after 29 seconds; whoever asks should hear of it from us, and why."""


class Runs(Protocol):
    """The state machine's executions, by run id."""

    def state(self, run_id: str) -> RunState: ...

    def recent(self, limit: int) -> list[RunState]: ...

    def stop(self, name: str) -> bool: ...

    def failure(self, run_id: str) -> RunFailure | None: ...


class Gate(Protocol):
    """Where everything that starts is admitted."""

    def add(self, request: Startable, job_id: str, caller: str) -> Job: ...

    def preview(self, request: Startable) -> str: ...

    def cancel(self, job_id: str, who: str) -> Job: ...

    def pause(self, words: str) -> None: ...

    def resume(self) -> list[str]: ...

    def standing(self, job_id: str) -> Standing: ...

    def at_work(self) -> tuple[list[Standing], int, Slots]: ...

    def last_ill(self) -> Job | None: ...

    def oldest_wait(self) -> timedelta: ...


class Breakers(Protocol):
    """Whether the databases let us in, as was found some seconds ago."""

    def both(self) -> Mapping[Side, Breaker]: ...

    def waiting_for(self) -> str:
        """Why nothing goes on that needs the databases; empty where both let us in."""
        ...


class Load(Protocol):
    """How much the databases bear."""

    def said(self) -> str:
        """What is shed and why; empty while nothing is."""
        ...


class Throttling(Protocol):
    """Which runs are slowed because others use up a server's or AWS's capacity."""

    def said(self) -> Mapping[str, str]:
        """Of each such run, since when and why."""
        ...


class KeptReports(Protocol):
    """The reports in S3."""

    def stored(self, run_id: str) -> tuple[dict[str, Any], datetime] | None:
        """The report as JSON, and when it was written."""
        ...

    def newest(self, limit: int) -> list[str]: ...


class Tokens(Protocol):
    """The service tokens of the HTTP trigger."""

    def create(self, name: str, scopes: Sequence[str], days: int) -> tuple[Any, str]: ...

    def list(self) -> Sequence[Any]: ...

    def revoke(self, token_id: str) -> bool: ...

    def rotate(self, token_id: str, days: int, overlap_hours: int) -> tuple[Any, str]: ...


class Keyring(Protocol):
    """The secrets of webhook senders, by source; the newest first."""

    def open(self, source: str) -> list[Held]: ...

    def secrets(self, source: str) -> list[Signing]: ...

    def replace(self, source: str, secret: str, url: str, overlap: timedelta) -> Held: ...


class Undo(Protocol):
    """The function that undoes runs."""

    def some(self, task: RollbackTask) -> RollbackOutcome | None:
        """A part of it; None where that takes longer than a call may, and goes on."""
        ...


class FailureQueue(Protocol):
    """Failed records on their way to a retry."""

    def send(self, messages: Sequence[FailureMessage]) -> None: ...


class Secret(Protocol):
    """The deployment's connection secret."""

    @property
    def name(self) -> str:
        """Its ARN, by which the deployment claims its target."""
        ...

    def held(self) -> dict[str, str]: ...

    def fill(self, values: dict[str, str]) -> None: ...


class IdCache(Protocol):
    """The id map's cache, and what it did since it was made."""

    def get(self, entity: str, source: str, epoch: int, keys: Collection[Key]) -> dict[Key, bytes]: ...

    def put(self, entity: str, source: str, epoch: int, ids: Mapping[Key, bytes]) -> None: ...

    @property
    def counts(self) -> CacheCounts: ...


class IdBackups(Protocol):
    """Copies of the id map in S3; the parts of an entity's source are numbered from zero."""

    def write(self, backup: str, entity: str, source: str, number: int, ids: Mapping[Key, bytes]) -> None: ...

    def complete(self, backup: str, places: Iterable[tuple[str, str]]) -> None: ...

    def names(self) -> list[str]: ...

    def contents(self, backup: str) -> dict[str, dict[str, int]]: ...

    def read(self, backup: str, entity: str, source: str, number: int) -> dict[Key, bytes]: ...


class AuditCopies(Protocol):
    """Copies of stretches of the audit trail: the first and the last line's id, and the last one's hash."""

    def listed(self) -> list[tuple[int, int, str]]: ...


class Desk(Protocol):
    """Built by `wiring` from the deployment; a part is made when it is first used."""

    @property
    def catalog(self) -> Catalog: ...

    @property
    def executions(self) -> Runs: ...

    @property
    def gate(self) -> Gate: ...

    @property
    def breakers(self) -> Breakers: ...

    @property
    def load(self) -> Load: ...

    @property
    def throttling(self) -> Throttling: ...

    @property
    def reports(self) -> KeptReports: ...

    @property
    def tokens(self) -> Tokens: ...

    @property
    def webhooks(self) -> Webhooks: ...

    @property
    def keyring(self) -> Keyring: ...

    @property
    def undo(self) -> Undo: ...

    @property
    def failure_queue(self) -> FailureQueue: ...

    @property
    def audit_copies(self) -> AuditCopies:
        """The audit trail outside the target."""
        ...

    @property
    def id_backups(self) -> IdBackups: ...

    def new_id_cache(self) -> IdCache:
        """One that remembers nothing yet."""
        ...

    @property
    def id_secret(self) -> bytes: ...

    @property
    def erasures(self) -> Erasures:
        """Who was erased, outside the target."""
        ...

    @property
    def secret(self) -> Secret: ...

    @property
    def deployment(self) -> str:
        """The name under which this deployment has claimed its target; empty before that."""
        ...

    @property
    def outlook(self) -> Outlook: ...

    def connect_target(self) -> Connection: ...

    def connect_legacy(self) -> Connection: ...

    def now(self) -> datetime: ...


@contextmanager
def at_target(desk: Desk) -> Iterator[Connection]:
    """One transaction in the target, bounded as a call is; ConfigurationMissing where our schema is not there."""
    try:
        with desk.connect_target() as target, transaction(target, "target"):
            for limit in LIMITS:
                send_with_next(target, limit)
            yield target
    except StructureMismatch:  # nothing is asked here but of our own tables
        raise ConfigurationMissing(
            "The target has no complete hybrid_sync schema: create it with hybrid-sync install."
        ) from None

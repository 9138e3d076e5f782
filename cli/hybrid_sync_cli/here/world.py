"""What a step may use where there is no AWS: the databases, a folder, and the target as its own id map."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from hybrid_sync.alerts import Alert
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.contracts import FailureMessage, Key, Profile, RunFailure
from hybrid_sync.erase import records
from hybrid_sync.erase.records import Erasure, Erasures
from hybrid_sync.errors import PartMissing, Side
from hybrid_sync.pool import Pool
from hybrid_sync.postgres import Connection, transaction
from hybrid_sync.secret import Connections, text
from hybrid_sync.settings import Settings
from hybrid_sync.world import ProfileLimits
from hybrid_sync_cli import screen
from hybrid_sync_cli.here.folder import FolderErasures, FolderManifests, FolderReports, FolderRuns
from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.build_id import build_id


class HereWorld:
    """`hybrid_sync.world.World` in this process; one delivery at a time, so one connection to either side at once."""

    parts = None
    workers = 1

    def __init__(
        self, catalog: Catalog, connections: Connections, folder: Path, erasures: Path | None = None
    ) -> None:  # fmt: skip
        self.catalog = catalog
        self.id_secret = connections.need("id_secret").encode()
        self.id_cache = NoIdCache()
        self.manifests = FolderManifests(folder)
        self.reports = FolderReports(folder)
        self.failure_queue = NoQueue()
        self.alerts = Said()
        self.executions = RunsHere(FolderRuns(folder))
        self.erasures: Erasures = FolderErasures(erasures) if erasures else TargetErasures(self)
        self._connections = connections
        self._limits = Settings.model_validate({})
        self._pool = Pool()

    @cached_property
    def build(self) -> str:
        """As the deployment of this checkout would be called."""
        return f"here-{build_id(home.project_root())}"

    def limits(self, profile: Profile) -> ProfileLimits:
        return self._limits.limits(profile)

    def connect_legacy(self) -> Connection:
        return self._connect("legacy", text(self._connections.legacy_ca))

    def connect_target(self) -> Connection:
        return self._connect("target", text(self._connections.target_ca))

    def connect_both(self) -> tuple[Connection, Connection]:
        addresses = (
            (self._connections.need("legacy_dsn"), text(self._connections.legacy_ca)),
            (self._connections.need("target_dsn"), text(self._connections.target_ca)),
        )
        return self._pool.at_once(self.connect_legacy, self.connect_target, addresses)

    def _connect(self, side: Side, ca: str | None) -> Connection:
        return self._pool.connect(self._connections.need(f"{side}_dsn"), side, ca)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def close(self) -> None:
        self._pool.close()


class NoIdCache:
    """Every id is asked from the target."""

    def get(self, entity: str, source: str, epoch: int, keys: Collection[Key]) -> dict[Key, bytes]:
        return {}

    def get_filled(self, entity: str, source: str, epoch: int, fields: Collection[bytes]) -> dict[bytes, bytes]:
        return {}

    def pages(self, entity: str, source: str, epoch: int, numbers: Collection[int]) -> dict[int, bytes]:
        return {}

    def put(self, entity: str, source: str, epoch: int, ids: Mapping[Key, bytes]) -> None:
        """Does nothing: the target has the ids."""


class NoQueue:
    """Failed records wait in the target, unmarked: the next run of the deployment sends them."""

    def send(self, messages: Sequence[FailureMessage]) -> None:
        if messages:
            raise PartMissing(f"The queue of failed records{PartMissing.mark}run --here has none).")


class Said:
    """Whoever started the run is told here."""

    def publish(self, alert: Alert) -> None:
        screen.say(alert.subject, err=True)


class RunsHere:
    """Of the executions only those of this machine are known; others are lost once their own deadline has passed."""

    def __init__(self, runs: FolderRuns) -> None:
        self.at_work = runs.at_work
        self.status = runs.status

    def failure(self, run_id: str) -> RunFailure | None:
        return None


class TargetErasures:
    """Where nobody has fetched the list outside the target, the target's own is all that is known."""

    def __init__(self, world: HereWorld) -> None:
        self._world = world

    def numbers(self) -> list[int]:
        with self._world.connect_target() as target, transaction(target, "target", read_only=True):
            return records.recorded(target)

    def read(self, number: int) -> Erasure:
        with self._world.connect_target() as target, transaction(target, "target", read_only=True):
            return records.recall(target, number)

    def write(self, erasure: Erasure) -> bool:
        return erasure.number not in self.numbers()

"""The engine's world on this machine: real databases, the twelve entities, id map and manifests in a folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bench.peers.local_aws import FileTable, FolderBucket
from hybrid_sync.catalog.load import load
from hybrid_sync.contracts import Profile
from hybrid_sync.ids.cache import DynamoIdCache
from hybrid_sync.runs.manifest import S3Manifests, S3Reports
from hybrid_sync.settings import Settings
from hybrid_sync.world import ProfileLimits
from tests.engine.worlds import EngineWorld


class Order(BaseModel):
    """A run."""

    model_config = ConfigDict(frozen=True)

    legacy: str
    target: str
    catalog: Path
    folder: Path
    run_id: str
    profile: Profile
    batch_size: int | None = None
    workers: int = 2
    profile_to: Path | None = None
    """Where each worker shall leave a profile of its Python."""


class FolderWorld(EngineWorld):
    """A worker's; other workers of the same folder share its id map and its bucket."""

    def __init__(self, order: Order) -> None:
        super().__init__(load(order.catalog), order.legacy, order.target)
        self.table, self.bucket = FileTable(order.folder / "ids"), FolderBucket(order.folder / "data")
        self.id_cache = DynamoIdCache("ids", self.table, self.id_secret)  # type: ignore[assignment]
        self.manifests = S3Manifests("data", self.bucket)  # type: ignore[assignment]
        self.reports = S3Reports("data", self.bucket)  # type: ignore[assignment]
        self.workers = order.workers

    def limits(self, profile: Profile) -> ProfileLimits:
        """As a deployment has them that says nothing about it."""
        return Settings().limits(profile)

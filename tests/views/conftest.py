"""A deployment to look at: a target with hand-written records, and AWS parts as a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from hybrid_sync.admission.gate import Standing
from hybrid_sync.admission.order import Slots
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.errors import AwsUnavailable
from hybrid_sync.postgres import Connection, connect
from hybrid_sync.services.views.schedule import Schedule
from hybrid_sync.services.views.servers import Servers
from tests.report.records import CATALOG, create_schema

NOW = datetime(2026, 1, 7, 12, tzinfo=UTC)


@dataclass
class GateAt:
    """What waits and runs."""

    standings: list[Standing] = field(default_factory=list)
    slots: Slots = field(default_factory=Slots)
    away: bool = False

    def at_work(self) -> tuple[list[Standing], int, Slots]:
        if self.away:
            raise AwsUnavailable("DynamoDB does not answer.")
        return self.standings, sum(one.place is not None for one in self.standings), self.slots


@dataclass
class Looked:
    """What a view may use of a deployment."""

    target_dsn: str
    catalog: Catalog = CATALOG
    gate: GateAt = field(default_factory=GateAt)
    schedules: tuple[Schedule, ...] = (Schedule("Weekly sync", "cron(0 1 ? * SUN *)", "UTC"),)
    lengths: dict[str, int] = field(default_factory=lambda: {"failed": 0, "given up": 0})
    answers: dict[str, Callable[[], object]] = field(default_factory=lambda: {"Legacy": lambda: None})

    @property
    def servers(self) -> Servers:
        return Servers(self.answers)

    def messages(self, queue: str) -> int:
        return self.lengths[queue]

    def connect_target(self) -> Connection:
        return connect(self.target_dsn, "target")

    def now(self) -> datetime:
        return NOW


@pytest.fixture
def store(target_db: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(target_db, autocommit=True) as connection:
        create_schema(connection)
        yield connection


@pytest.fixture
def looked(target_db: str, store: psycopg.Connection[Any]) -> Any:
    return Looked(target_db)

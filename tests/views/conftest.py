"""A deployment to look at: a target with hand-written records, and AWS parts as a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import sql

from hybrid_sync.admission.gate import Standing
from hybrid_sync.admission.job import Job, new_job
from hybrid_sync.admission.order import Slots
from hybrid_sync.breaker.state import Breaker, waiting_for
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.contracts import RunRequest
from hybrid_sync.errors import AwsUnavailable, Side
from hybrid_sync.postgres import Connection, connect
from hybrid_sync.runs.starter import RunState
from hybrid_sync.services.views.schedule import Schedule
from hybrid_sync.services.views.servers import Servers
from hybrid_sync_cli.stack import supabase
from hybrid_sync_cli.stack.postgres import Cluster
from tests.conftest import PASSWORD
from tests.report.records import CATALOG, create_schema

NOW = datetime(2026, 1, 7, 12, tzinfo=UTC)


@dataclass
class GateAt:
    """What waits and runs."""

    standings: list[Standing] = field(default_factory=list)
    slots: Slots = field(default_factory=Slots)
    away: bool = False
    added: list[tuple[RunRequest, str]] = field(default_factory=list)
    ill: Job | None = None

    def add(self, request: RunRequest, job_id: str, caller: str) -> Job:
        """Once for each id, as the gate does."""
        if job_id not in [known for _, known in self.added]:
            self.added.append((request, job_id))
        return new_job(job_id, request, caller, NOW)

    def last_ill(self) -> Job | None:
        return self.ill

    def at_work(self) -> tuple[list[Standing], int, Slots]:
        if self.away:
            raise AwsUnavailable("DynamoDB does not answer.")
        return self.standings, sum(one.place is not None for one in self.standings), self.slots


@dataclass
class OutlookAt:
    """Clocks, queues and servers."""

    schedules: tuple[Schedule, ...] = (Schedule("Weekly sync", "cron(0 1 ? * SUN *)", "UTC"),)
    lengths: dict[str, int] = field(default_factory=dict)
    answers: dict[str, Callable[[], object]] = field(default_factory=lambda: {"Legacy": lambda: None})
    refused: str = ""

    @property
    def servers(self) -> Servers:
        return Servers(self.answers)

    def messages(self, queue: str) -> int:
        return self.lengths.get(queue, 0)

    def refused_calls(self, now: datetime) -> str:
        return self.refused


@dataclass
class BreakersAt:
    """Whether the databases let us in."""

    legacy: Breaker = field(default_factory=Breaker)
    target: Breaker = field(default_factory=Breaker)

    def both(self) -> Mapping[Side, Breaker]:
        return {"legacy": self.legacy, "target": self.target}

    def waiting_for(self) -> str:
        return waiting_for(self.both())


@dataclass
class LoadAt:
    """What is shed."""

    shed: str = ""

    def said(self) -> str:
        return self.shed


@dataclass
class ThrottlingAt:
    """Who is throttled."""

    by_run: dict[str, str] = field(default_factory=dict)

    def said(self) -> dict[str, str]:
        return self.by_run


class ExecutionsAt:
    """All of them are at work."""

    def state(self, run_id: str) -> RunState:
        return RunState(run_id, "running", NOW, None)

    def recent(self, limit: int) -> list[RunState]:
        raise AwsUnavailable("Step Functions does not answer.")

    def failure(self, run_id: str) -> None:
        return None


@dataclass
class ReportsAt:
    """What runs have left in S3."""

    left: dict[str, dict[str, Any]] = field(default_factory=dict)

    def stored(self, run_id: str) -> tuple[dict[str, Any], datetime] | None:
        return (self.left[run_id], NOW) if run_id in self.left else None


@dataclass
class Looked:
    """What a view may use of a deployment."""

    target_dsn: str
    catalog: Catalog = CATALOG
    gate: GateAt = field(default_factory=GateAt)
    outlook: OutlookAt = field(default_factory=OutlookAt)
    breakers: BreakersAt = field(default_factory=BreakersAt)
    load: LoadAt = field(default_factory=LoadAt)
    throttling: ThrottlingAt = field(default_factory=ThrottlingAt)
    executions: ExecutionsAt = field(default_factory=ExecutionsAt)
    reports: ReportsAt = field(default_factory=ReportsAt)

    def connect_target(self) -> Connection:
        return connect(self.target_dsn, "target")

    def connect_legacy(self) -> Connection:
        """A server without any of legacy's tables."""
        return connect(self.target_dsn, "legacy")

    def now(self) -> datetime:
        return NOW


@pytest.fixture(scope="module")
def recorded(supabase_postgres: Cluster) -> Iterator[str]:
    """The DSN of a target with the engine's own tables, for a file of tests."""
    name = sql.Identifier("looked_at")
    with psycopg.connect(supabase_postgres.dsn(), autocommit=True) as server:
        server.execute(sql.SQL("create database {}").format(name))
        supabase.bootstrap(supabase_postgres.dsn("looked_at"), admin_password=PASSWORD, authenticator_password=PASSWORD)
        dsn = supabase_postgres.dsn("looked_at", supabase.ADMIN, PASSWORD)
        with psycopg.connect(dsn, autocommit=True) as target:
            create_schema(target)
        yield dsn
        server.execute(sql.SQL("drop database {} with (force)").format(name))


@pytest.fixture
def store(recorded: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to empty records."""
    with psycopg.connect(recorded, autocommit=True) as connection:
        yield connection
        connection.execute("alter table hybrid_sync.audit disable trigger user")
        connection.execute(
            "truncate hybrid_sync.run, hybrid_sync.failed_record, hybrid_sync.entity_state, hybrid_sync.audit,"
            " hybrid_sync.fence, hybrid_sync.run_failure, hybrid_sync.journal, hybrid_sync.batch_done,"
            " hybrid_sync.clock, hybrid_sync.due_run, hybrid_sync.api_day, hybrid_sync.run_usage cascade"
        )
        connection.execute("alter table hybrid_sync.audit enable trigger user")


@pytest.fixture
def looked(recorded: str, store: psycopg.Connection[Any]) -> Any:
    return Looked(recorded)

"""What a probe is given: the catalog, both databases in read-only transactions, the parts in AWS, and the limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any

from psycopg import sql

from hybrid_sync.aws import Client
from hybrid_sync.blame import Side
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.dataclass import dataclass
from hybrid_sync.postgres import Connection, transaction
from hybrid_sync.session import Parameters, Query

GIGABYTE = 1024**3


@dataclass(frozen=True)
class Limits:
    """The thresholds beyond which a probe reports a finding."""

    oldest_server: int = 130_000
    clock: timedelta = timedelta(seconds=5)
    round_trip: timedelta = timedelta(milliseconds=50)
    long_transaction: timedelta = timedelta(hours=1)
    xmin_age: int = 10_000_000
    """Transactions that have begun since."""
    prepared_transaction: timedelta = timedelta(minutes=10)
    xid_age: int = 1_000_000_000
    """Transactions since the last freeze; PostgreSQL stops writing at two thousand million."""
    slot_bytes: int = GIGABYTE
    scan_bytes: int = 64 * 1024**2
    """A table of this size should not be read whole for a few rows."""
    statement: timedelta = timedelta(seconds=120)
    """What a statement of a step may take."""
    transaction: timedelta = timedelta(minutes=15)
    """What a step may take, and with it a transaction."""
    idle_session: timedelta = timedelta(minutes=1)


@dataclass(frozen=True)
class Parts:
    """The deployment's parts in AWS, by their names there, and how many functions of a run work at the same time."""

    client: Callable[[str], Client]
    id_map_table: str
    data_bucket: str
    failed_queue_url: str
    alert_topic: str
    state_machine: str
    id_secret: Callable[[], bytes]


@dataclass
class ProbeContext:
    """What every probe of one check is given; `connections` has the sides that could be connected to."""

    check_id: str
    catalog: Catalog
    connections: Mapping[Side, Connection]
    now: Callable[[], datetime]
    parts: Parts | None
    workers: int
    """Functions that may be at work at the same time, each with a connection to either side."""
    disk_gb: float | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def aws(self) -> Parts:
        """For probes that need it."""
        assert self.parts is not None, "a probe that needs AWS is passed over where there is none"
        return self.parts

    @contextmanager
    def reading(self, side: Side) -> Iterator[Connection]:
        """A transaction in which the server itself refuses every write."""
        with transaction(self.connections[side], side, read_only=True) as connection:
            yield connection

    def rows(self, side: Side, query: Query, parameters: Parameters = None) -> list[tuple[Any, ...]]:
        """Rows of one query, in a transaction of its own."""
        with self.reading(side) as connection:
            return connection.execute(query, parameters).fetchall()

    def row(self, side: Side, query: Query, parameters: Parameters = None) -> tuple[Any, ...]:
        """`rows` of a query that answers one row."""
        [row] = self.rows(side, query, parameters)
        return row

    def role(self, side: Side) -> str:
        """The role as which this side was connected to."""
        return self.connections[side].info.user

    def place(self, side: Side) -> str:
        """`legacy host:port/database`, without the password."""
        info = self.connections[side].info
        return f"{side} {info.host or 'localhost'}:{info.port}/{info.dbname}"


def pasted(statements: list[sql.Composed]) -> str:
    """SQL for a person to paste."""
    return "Run as the owner: " + " ".join(f"{statement.as_string(None)};" for statement in statements)

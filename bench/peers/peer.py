"""What a contestant is: where it writes, what it runs in each phase, and what it does besides carrying rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench.peers.measure import Job


class Phase(StrEnum):
    """In this order: a first load, a day's changes, a day on which nothing has changed, a check of all."""

    first = "first"
    delta = "delta"
    idle = "idle"
    check = "check"


@dataclass(frozen=True)
class Place:
    """Two databases, a folder of the contestant's own, and how it is asked (`workers`, `batch_size`, `profile`)."""

    legacy: str
    target: str
    folder: Path
    catalog: Path
    workers: int = 2
    batch_size: int | None = None
    profile: bool = False


@dataclass(frozen=True)
class Does:
    """Beside the rows' plain columns."""

    ids: bool = False
    references: bool = False
    constraints: bool = False
    deletes: bool = False
    journal: bool = False
    verification: bool = False


EVERYTHING = Does(ids=True, references=True, constraints=True, deletes=True, journal=True, verification=True)


@dataclass(frozen=True)
class Peer:
    """`jobs` by phase; a phase that it lacks is not asked of it.

    `beside` names another one whose databases it looks at; it has no target of its own then.
    """

    name: str
    label: str
    does: Does
    jobs: Mapping[Phase, Callable[[Place], Job]]
    target: Callable[[], str] = lambda: ""
    schema: str = "public"
    prepare: Callable[[Place], None] = lambda place: None
    beside: str = ""
    missing: Callable[[], str] = lambda: ""
    """Why it cannot run on this machine; empty where it can."""
    natives: int = 0
    """Rows in each of its tables that nobody carries."""

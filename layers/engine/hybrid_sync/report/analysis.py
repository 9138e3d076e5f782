"""Missed records by root cause: how many, since when, where, and how that moved over the last runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from hybrid_sync.recorded.part import Part


class Undeleted(Part):
    """Rows of one entity that should have been deleted or marked, and are as they were."""

    entity: str
    reason: str
    rows: int
    keys: tuple[str, ...] = ()
    """The first few legacy keys, as `source:key`."""


class CauseDetail(Part):
    """Where exactly a cause strikes: `records` rows of one source, at one column, constraint or parent."""

    source: str
    column: str | None = None
    constraint: str | None = None
    sqlstate: str | None = None
    parent: str | None = None
    """The entity that the rows wait for."""
    records: int


class MissedCause(Part):
    """Failed records of one entity that share a reason, as they stand when the summary is made."""

    entity: str
    title: str
    reason: str
    records: int
    absent: int
    """Of these, not in the target at all; the others are there in an older version."""
    rows: int
    """Legacy rows that the records stand for: rows that share a key, or have none, are one record."""
    new: int
    """Of the records, first seen in this run."""
    escalated: int
    accepted: int
    """Of the records, accepted by a person: they do not count against the tolerance."""
    open_rows: int
    """Rows of the records that nobody has accepted."""
    retries: int
    share: float | None
    """Open rows of the entity's legacy rows, 0 to 1; None where these are not known."""
    tolerated: str = ""
    """What the catalog tolerates, such as `2.5 % of its rows`; empty where it tolerates nothing."""
    why: str = ""
    """Why the catalog tolerates it."""
    beyond: bool = False
    """More than the catalog tolerates."""
    meaning: str
    remedy: str
    retryable: bool
    keys: tuple[str, ...]
    """The first few legacy keys, as `source:key`."""
    oldest: datetime | None = None
    """When the first of them was first seen."""
    details: tuple[CauseDetail, ...] = ()


class MissedRecord(Part):
    """One failed record by its key; what the row holds stays in the databases."""

    entity: str
    source: str
    key: str
    reason: str
    column: str | None = None
    status: str
    present: bool
    """An older version of the row is in the target."""
    attempts: int
    first_run: str
    first_seen: datetime
    waits_for: str | None = None
    """The missing parent, as `entity/source:key`."""

    @property
    def ref(self) -> str:
        """`case_messages/comment:12`, as `hybrid-sync sync --ref` takes it."""
        return f"{self.entity}/{self.source}:{self.key}"


class Cause(Part):
    """One root cause over all entities of the run."""

    reason: str
    records: int
    share: float
    """Of all missed records, 0 to 1."""
    absent: int
    new: int
    escalated: int
    accepted: int
    oldest: datetime | None
    meaning: str
    remedy: str
    retryable: bool
    entities: tuple[str, ...]
    """Most records first."""
    before: tuple[int | None, ...]
    """Records at the end of each earlier run, oldest run first; None where that run kept no count."""


def causes(missed: Sequence[MissedCause], before: Sequence[dict[str, int] | None]) -> tuple[Cause, ...]:
    """Group by reason, oldest cause first; those first seen on one day by their number.

    `before` are the records per reason at the end of each earlier run, oldest run first.
    """
    grouped: dict[str, list[MissedCause]] = defaultdict(list)
    for line in missed:
        grouped[line.reason].append(line)
    every = sum(line.records for line in missed)
    found = [_cause(reason, lines, every, before) for reason, lines in grouped.items()]
    # By day: causes that one run found differ in their first_seen by seconds, which says nothing.
    return tuple(sorted(found, key=lambda c: (c.oldest is None, c.oldest and c.oldest.date(), -c.records, c.reason)))


def _cause(reason: str, lines: list[MissedCause], every: int, before: Iterable[dict[str, int] | None]) -> Cause:
    first, *_ = lines = sorted(lines, key=lambda line: -line.records)
    records = sum(line.records for line in lines)
    return Cause(
        reason=reason,
        records=records,
        share=records / every,
        absent=sum(line.absent for line in lines),
        new=sum(line.new for line in lines),
        escalated=sum(line.escalated for line in lines),
        accepted=sum(line.accepted for line in lines),
        oldest=min((line.oldest for line in lines if line.oldest), default=None),
        meaning=first.meaning,
        remedy=first.remedy,
        retryable=first.retryable,
        entities=tuple(line.entity for line in lines),
        before=tuple(None if counts is None else counts.get(reason, 0) for counts in before),
    )

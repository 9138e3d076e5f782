"""What no fence can see, and only the reconcile finds: rows that are gone, joined rows that are gone, partitions that
come and go whole, and a legacy that is its own yesterday again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import psycopg
from psycopg import sql

from tests.faults.disk import Disk

REWINDS = 0.3
_FAR = 1_000_000
"""The first key of the partitions that come and go."""
_WIDTH = 1_000
_PARTITIONS = 3
_ROWS = 6
_ATTACHED = "select 1 from pg_inherits where inhrelid = to_regclass(%s)"


@dataclass(frozen=True)
class Plan:
    """Of one day."""

    rewinds: bool
    partition: int
    office: int | None
    """Which of the joined rows goes."""


class BlindSpots:
    """Legacy's owner, at work with tools that leave no trace in the rows."""

    def __init__(self, dsn: str, disk: Disk, luck: random.Random) -> None:
        self._dsn = dsn
        self._disk = disk
        self._luck = luck
        self._revs = 0

    def plan(self) -> Plan:
        """What is to happen on a day, and what has to be there before it; legacy is quiet."""
        plan = Plan(
            self._luck.random() < REWINDS, self._luck.randrange(_PARTITIONS), self._luck.choice((None, None, 1, 2, 3))
        )
        with psycopg.connect(self._dsn, autocommit=True) as legacy:
            # Older than every fence of the day, on whose evening it is attached.
            self._fill(legacy, plan.partition)
            if plan.rewinds:
                legacy.execute("checkpoint")
        if plan.rewinds:
            self._disk.remember()
        return plan

    def rewind(self) -> None:
        """Back to how it was before the day; every connection is cut."""
        self._disk.revert()

    def carry_out(self, plan: Plan) -> None:
        """A partition comes or goes, a joined row goes; legacy is quiet."""
        name = sql.Identifier(f"record_far_{plan.partition}")
        ends = (sql.Literal(plan.partition * _WIDTH + _FAR), sql.Literal((plan.partition + 1) * _WIDTH + _FAR))
        with psycopg.connect(self._dsn, autocommit=True) as legacy:
            if legacy.execute(_ATTACHED, (f"record_far_{plan.partition}",)).fetchone():
                legacy.execute(sql.SQL("alter table record detach partition {}").format(name))
            else:
                legacy.execute(
                    sql.SQL("alter table record attach partition {} for values from ({}) to ({})").format(name, *ends)
                )
            if plan.office is not None:
                legacy.execute("delete from office where id = %s", (plan.office,))

    def make_good(self, plan: Plan) -> None:
        """The joined row is back, in another currency."""
        self._revs += 1_000
        with psycopg.connect(self._dsn, autocommit=True) as legacy:
            legacy.execute("insert into office (id, currency, rev) values (%s, 'EUR', %s)", (plan.office, self._revs))

    def _fill(self, legacy: psycopg.Connection[tuple[object, ...]], partition: int) -> None:
        name = f"record_far_{partition}"
        if legacy.execute("select to_regclass(%s)", (name,)).fetchone() != (None,):
            return
        legacy.execute(sql.SQL("create table {} (like record including all)").format(sql.Identifier(name)))
        first = _FAR + partition * _WIDTH
        legacy.execute(
            sql.SQL("insert into {} select n, null, '[]', 0 from generate_series({}::int, {}::int) n").format(
                sql.Identifier(name), sql.Literal(first), sql.Literal(first + _ROWS - 1)
            )
        )

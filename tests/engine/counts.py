"""What a run of each kind costs that no machine changes: waits, connections, bytes on the wire, rows read, pages."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from bench.peers.local_aws import FileTable
from hybrid_sync.contracts import Profile
from hybrid_sync.ids.cache import DynamoIdCache
from tests.engine.six_tables import Counted
from tests.engine.worlds import run

_CHANGES = (
    "update line set quantity = quantity + 1 where id % 50 = 0;"
    " insert into line select id + 1, purchase_id, product_id, 2 from line where id % 50 = 3"
)


@dataclass(frozen=True)
class Cost:
    """Of a run over six tables of 600 rows; both databases together, but for the rows."""

    waits: int
    connections: int
    kilobytes: int
    legacy_rows: int
    target_rows: int
    pages_read: int
    pages_written: int

    def above(self, bound: Cost) -> dict[str, tuple[int, int]]:
        """What costs more than it may: (cost, bound) by name."""
        pairs = {part.name: (getattr(self, part.name), getattr(bound, part.name)) for part in fields(self)}
        return {name: (cost, most) for name, (cost, most) in pairs.items() if cost > most}


class Counts:
    """Runs one after the other in one world, whose id map is in a folder."""

    def __init__(self, six: Counted, folder: Path) -> None:
        self._six = six
        self._table = FileTable(folder)
        self._new_worker()

    def _new_worker(self) -> None:
        """One that knows nothing, as on another day."""
        self._six.world.id_cache = DynamoIdCache("ids", self._table, self._six.world.id_secret)  # type: ignore[assignment]

    def runs(self) -> dict[str, Cost]:
        """A first load, a day's changes, a day and a week without any, and a check."""
        costs = {"first": self._run("first", Profile.daily)}
        self._six.change(_CHANGES)
        costs["delta"] = self._run("delta", Profile.daily)
        costs["idle"] = self._run("idle", Profile.daily)
        costs["weekly"] = self._run("weekly", Profile.weekly)
        costs["check"] = self._run("check", Profile.verify)
        return costs

    def _run(self, name: str, profile: Profile) -> Cost:
        six, table = self._six, self._table
        self._new_worker()
        rows = six.rows_read()
        six.take()
        read, written = table.reads, table.writes
        assert run(six.world, name, profile=profile).outcome.status == "succeeded"
        legacy, target = six.legacy.take(), six.target.take()
        legacy_rows, target_rows = (after - before for after, before in zip(six.rows_read(), rows, strict=True))
        return Cost(
            legacy.waits + target.waits, legacy.connections + target.connections,
            (legacy.bytes + target.bytes) // 1000, legacy_rows, target_rows, table.reads - read, table.writes - written,
        )  # fmt: skip

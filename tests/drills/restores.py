"""A database as it was last week: its files are put aside, and later put back, as if no time had passed for it.

Neither its identity nor its timeline says so; sequences, transaction ids and whatever else counts has gone back.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybrid_sync_cli.stack import databases, home
from hybrid_sync_cli.stack.home import StateFile
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import Processes
from tests.drills.ground import Ground, NotWell
from tests.drills.play import Night

TABLE, ENTITY = "dispatch_office", "offices"


class Backup:
    """The files of one side's server, at one moment."""

    def __init__(self, side: str) -> None:
        self._state = StateFile(home.directory() / "keep.json")
        self._side = side
        self._server: Cluster = databases.cluster(side, Processes(home.directory()), self._state, strict=True)
        self._copy = self._server.directory / "last-week"

    def take(self) -> None:
        with self._stopped():
            self._copied(self._server.data, self._copy)

    def restore(self) -> None:
        with self._stopped():
            shutil.rmtree(self._server.data)
            self._copied(self._copy, self._server.data)

    def drop(self) -> None:
        shutil.rmtree(self._copy, ignore_errors=True)

    @contextmanager
    def _stopped(self) -> Iterator[None]:
        self._server.stop()
        try:
            yield
        finally:
            self._server.ensure(self._state.get(f"{self._side}_port"))

    @staticmethod
    def _copied(source: Path, place: Path) -> None:
        """With owners and modes: the server runs as somebody else."""
        subprocess.run(["cp", "-a", str(source), str(place)], check=True)


def target_restored(night: Night) -> None:
    """The target is as it was last week: it lacks rows that runs have brought, and says of old rows what was then."""
    ground, backup = night.ground, Backup("target")
    backup.take()
    try:
        added(ground, 3)
        ground.legacy(f"update {TABLE} set zip = 'since' where id % 2 = 1")
        ground.carry_at_last()
        known = ids(ground)
        backup.restore()
    finally:
        backup.drop()
    ground.carry_at_last()
    if ids(ground) != known:
        raise NotWell("Rows that the target had lost have come back with other ids.")


def legacy_restored(night: Night) -> None:
    """Legacy is as it was last week, and goes on: keys that were given since are given again, to other rows."""
    ground, backup = night.ground, Backup("legacy")
    backup.take()
    try:
        first = added(ground, 3)
        ground.legacy(f"update {TABLE} set zip = 'lost' where id % 2 = 1")
        ground.carry_at_last()
        known = ids(ground)
        backup.restore()
    finally:
        backup.drop()
    if (again := added(ground, 2, "again")) != first[:2]:
        raise NotWell(f"Legacy has given the keys {again} and not {first} again.")
    ground.carry_at_last()
    kept = ids(ground)
    if any(kept[key] != known[key] for key in again):
        raise NotWell("A key that was given again has another id.")


def added(ground: Ground, rows: int, code: str = "new") -> list[int]:
    """Rows like the first one; their keys."""
    columns = "name, address, city, zip, country, tax_rate, sq_customer_id, valid, emails"
    some = columns.replace("zip", f"'{code}'")
    found = ground.legacy(
        f"insert into {TABLE} ({columns}) select {some} from {TABLE}, generate_series(1, {rows})"
        f" where id = (select min(id) from {TABLE}) returning id"
    )
    return [int(row[0]) for row in found]


def ids(ground: Ground) -> dict[int, object]:
    return dict(ground.target(f"select legacy_id, id from {ENTITY} where legacy_id is not null"))

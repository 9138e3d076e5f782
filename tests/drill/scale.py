"""`python -m tests.drill.scale --scale 0.05`: a full check against a first sync in time, and beside a busy legacy.

The check runs in a process of its own, whose peak memory is its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

from hybrid_sync.catalog.load import load
from hybrid_sync.entrypoint import peak_rss_kib
from hybrid_sync.postgres import connect
from hybrid_sync_cli.stack import home
from tests.drill.__main__ import servers, synced
from tests.engine.worlds import EngineWorld, run

_A_SECOND = 500
"""Rows that the writer changes per second."""


@dataclass(frozen=True)
class Checked:
    seconds: float
    rows: int
    in_flight: int
    differences: int
    status: str
    peak_mib: int


def _check(answer: Pipe, legacy_dsn: str, worker_dsn: str, run_id: str) -> None:
    world = EngineWorld(load(home.project_root() / "layers" / "catalog"), legacy_dsn, worker_dsn)
    began = time.monotonic()
    done = run(world, run_id, profile="verify")
    seconds = time.monotonic() - began
    with world.connect_target() as target:
        row = target.execute(
            "select sum((reconcile->>'rows_checked')::int8)::int8, sum((reconcile->>'in_flight')::int8)::int8,"
            " (select count(*) from hybrid_sync.difference where run_id = %(run)s)"
            " from hybrid_sync.run_entity where run_id = %(run)s",
            {"run": run_id},
        ).fetchone()
    assert row is not None
    answer.send(Checked(seconds, row[0], row[1], row[2], done.outcome.status, peak_rss_kib() // 1024))


def check(world: EngineWorld, run_id: str) -> Checked:
    """A verify run in a fresh process."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_check, args=(theirs, world.legacy_dsn, world.target_dsn, run_id))
    process.start()
    theirs.close()
    answer: Checked = mine.recv()
    process.join()
    return answer


class Writer(threading.Thread):
    """Changes legacy at a steady rate: edits, new rows, deleted rows, and rows that others are joined to."""

    def __init__(self, dsn: str) -> None:
        super().__init__()
        self._dsn = dsn
        self._enough = threading.Event()
        self.changed = 0

    def run(self) -> None:
        began = time.monotonic()
        with connect(self._dsn, "legacy") as legacy:
            while not self._enough.is_set():
                self.changed += legacy.execute(_EDIT).rowcount + legacy.execute(_INSERT).rowcount
                self.changed += legacy.execute(_DELETE).rowcount + legacy.execute(_JOINED).rowcount
                ahead = self.changed / _A_SECOND - (time.monotonic() - began)
                self._enough.wait(max(0.0, ahead))

    def stop(self) -> None:
        self._enough.set()
        self.join()


_EDIT = """
update dispatch_notification set read = not read
where id in (select id from dispatch_notification tablesample system (0.1) limit 40)
"""
_INSERT = """
insert into dispatch_notification (template_name, template_context, read, sent, send, item_id, item_type_id,
                                   recipient_id, sender, created_at)
select template_name, template_context, read, sent, send, item_id, item_type_id, recipient_id, sender, now()
from (select * from dispatch_notification tablesample system (0.1) limit 5) n
"""
_DELETE = "delete from dispatch_notification where id = (select max(id) from dispatch_notification)"
_JOINED = (
    "update dispatch_plan set name = name where id in (select id from dispatch_plan tablesample system (1) limit 4)"
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drill.scale", description=__doc__)
    parser.add_argument("--scale", type=float, default=0.05, help="of the sample world (default: 0.05)")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="drill-", dir=home.directory()) as folder,
        servers(Path(folder)) as (legacy, target, password),
    ):
        world, seconds = synced(legacy, target, password, options.scale, seed=1)
        quiet = check(world, "quiet")
        ratio = quiet.seconds / seconds
        print(
            f"CHECK rows={quiet.rows} first_sync={seconds:.1f}s check={quiet.seconds:.1f}s ratio={ratio:.2f}"
            f" differences={quiet.differences} peak_mib={quiet.peak_mib}"
        )
        writer = Writer(world.legacy_dsn)
        writer.start()
        try:
            busy = check(world, "busy")
        finally:
            writer.stop()
        print(
            f"LIVE rows={busy.rows} changed={writer.changed} in_flight={busy.in_flight} false={busy.differences}"
            f" check={busy.seconds:.1f}s"
        )
    good = quiet.status == busy.status == "succeeded" and ratio < 1 / 3 and writer.changed > 0
    return 0 if good and quiet.differences == busy.differences == 0 and quiet.peak_mib < 256 else 1


if __name__ == "__main__":
    sys.exit(main())

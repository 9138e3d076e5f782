"""A worker: invocations of any function, one after the other, as lines of JSON; then what it took."""

from __future__ import annotations

import cProfile
import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers.engine_world import FolderWorld, Order
from hybrid_sync.entrypoint import peak_rss_kib
from hybrid_sync.errors import SyncError
from hybrid_sync_cli.flow.functions import deployed, step_failed
from tests.flow.functions import Steps

FUNCTIONS = (
    "plan_run", "plan_entity", "sync_batch", "settle_uniques", "link_references", "reconcile_entity",
    "compare_segment", "confirm_differences", "recheck_entity", "propagate_deletes", "verify_entity", "report_run",
)  # fmt: skip
"""Loaded before the clock runs."""


def serve() -> None:
    """Until the input ends."""
    order = Order.model_validate_json(sys.stdin.readline())
    world = FolderWorld(order)
    steps = Steps(world)
    for function in FUNCTIONS:
        deployed(function)
    gc.freeze()  # as each function does with what it has loaded
    _say({"ready": True})
    with _profiled(order.profile_to):
        _obey(steps)
    _say({"peak_kib": peak_rss_kib(), "pages_written": world.table.writes, "pages_read": world.table.reads})
    # A function is not taken down when a run has ended, but kept, and its sessions with it; Python would let go of all
    # that it has loaded, and four sessions that end beside it take both processors.
    os._exit(0)


def _obey(steps: Steps) -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        message, _ = deployed(asked["function"])
        began = time.process_time()
        try:
            done = steps(asked["function"], message.model_validate(asked["payload"]))
        except SyncError as error:
            failed = step_failed(error)
            _say({"error": failed.error, "cause": failed.cause})
        else:
            answer = None if done is None else done.model_dump(mode="json")
            _say({"answer": answer, "cpu": time.process_time() - began})


@contextmanager
def _profiled(folder: Path | None) -> Iterator[None]:
    """What Python does within, in a file of this process's own."""
    if folder is None:
        yield
        return
    with cProfile.Profile(time.process_time) as profile:
        yield
    folder.mkdir(parents=True, exist_ok=True)
    profile.dump_stats(folder / f"{os.getpid()}.prof")


def _say(told: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()

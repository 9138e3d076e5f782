"""A stack of the benchmark's own with a sample world that has been synced once; it is gone afterwards."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from hybrid_sync.contracts import Profile, RunRequest
from hybrid_sync.schema.install import grant
from hybrid_sync.services.messages.runs import Progress, ProgressAsked
from hybrid_sync_cli import checking
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import catalog_of_project, start
from hybrid_sync_cli.sample import generate
from hybrid_sync_cli.stack import Stack, home
from hybrid_sync_cli.stack.home import StateFile
from hybrid_sync_cli.stack.options import UpOptions
from hybrid_sync_cli.stack.processes import Processes
from hybrid_sync_cli.stack.up import Builder, purge

PAUSE = 1.0
AT_WORK = ("waiting", "running")


@contextmanager
def ground(say: Callable[[str], None]) -> Iterator[Stack]:
    """Up, filled, checked and synced when it is handed out."""
    folder, before = Path(mkdtemp(prefix="bench-", dir=home.directory())), os.environ.get("HYBRID_SYNC_HOME")
    os.environ["HYBRID_SYNC_HOME"] = str(folder)
    try:
        stack = Builder(UpOptions(), say).run()
        generate(stack.legacy_dsn, stack.target_dsn)
        grant(stack.target_dsn, catalog_of_project())
        if not checking.checked(Deployment.here(stack)).passed:
            raise CliError("The stack is not fit to run, so no time would mean anything.")
        ended(stack, weekly(stack))
        yield stack
    finally:
        purge(Processes(folder), StateFile(folder / "keep.json"))
        os.environ.pop("HYBRID_SYNC_HOME")
        if before is not None:
            os.environ["HYBRID_SYNC_HOME"] = before
        shutil.rmtree(folder, ignore_errors=True)


def weekly(stack: Stack) -> str:
    """Ask for a weekly run; its id."""
    return start(Deployment.here(stack), RunRequest(profile=Profile.weekly, trigger="bench")).run_id


def status(stack: Stack, run_id: str) -> str:
    """As the deployment tells it."""
    return Deployment.here(stack).ask("progress", ProgressAsked(run_id=run_id), Progress, patient=True).status


def ended(stack: Stack, run_id: str) -> None:
    """Wait for the run; CliError where it has not kept its promises."""
    while (now := status(stack, run_id)) in AT_WORK:
        time.sleep(PAUSE)
    if now not in ("succeeded", "degraded"):
        raise CliError(f"The benchmark's run {run_id} is {now}, so no time means anything.")

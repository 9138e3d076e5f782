"""`make api-fuzz`: at least N requests to the API of the stack that is up, starts being paused meanwhile."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from hybrid_sync.http.endpoints import ENDPOINTS
from hybrid_sync.http.scopes import OPERATE, READ, WRITE
from hybrid_sync.services.messages.jobs import CancelAsked, JobAnswer, Jobs, JobsAsked, PauseAsked, Resumed
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import Stack
from tests.fuzz.run import fuzz


def main() -> int:
    """Exit status 1 where an answer was not as it should be, or too few requests were made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=2_000, help="requests at least")
    parser.add_argument("--seed", type=int, default=20261126)
    given = parser.parse_args()
    try:
        stack = Stack.load()
    except CliError as error:
        sys.exit(str(error))
    deployment = Deployment.here(stack)
    deployment.ask("pause", PauseAsked(reason="make api-fuzz"), Jobs, patient=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            examples = given.n // len(ENDPOINTS) + 1
            done = fuzz(
                stack, (READ, WRITE, OPERATE), examples, given.seed, Path(folder),
                "examples,coverage,fuzzing,stateful",
            )  # fmt: skip
    finally:
        _clear(deployment)
    print(done.said)
    print(f"API-FUZZ requests={done.requests} passed={done.passed} seed={given.seed}")
    return 0 if done.passed and done.requests >= given.n else 1


def _clear(deployment: Deployment) -> None:
    """What was asked for and still waits shall not begin."""
    while waiting := [
        job for job in deployment.ask("syncs", JobsAsked(), Jobs, patient=True).jobs if job.status == "waiting"
    ]:
        for job in waiting:
            deployment.ask("cancel", CancelAsked(run_id=job.run_id), JobAnswer, patient=True)
    deployment.ask("resume", JobsAsked(), Resumed, patient=True)


if __name__ == "__main__":
    sys.exit(main())

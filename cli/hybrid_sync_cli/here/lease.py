"""Nobody else begins while a run is carried out here: the deployment's starts are paused, or a person says why not.

Whatever else works all the same, such as a run that AWS has not ended, meets the target's own locks: nothing is written
twice or backwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hybrid_sync.services.messages.jobs import Jobs, JobsAsked, PauseAsked, Resumed
from hybrid_sync_cli import screen
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError


@contextmanager
def all_slots(run_id: str) -> Iterator[None]:
    """Within, the deployment starts nothing, and what was at work has ended; CliError where it does not answer."""
    try:
        deployment = Deployment.chosen()
        paused_before = bool(deployment.ask("syncs", JobsAsked(), Jobs).paused)
        if not paused_before:
            deployment.ask("pause", PauseAsked(reason=f"for {run_id} by run --here"), Jobs)
    except CliError as error:
        raise CliError(
            f"No slot can be taken: {error} Or say why it may go without one: --override-lease WHY."
        ) from None
    try:
        jobs = deployment.ask("syncs", JobsAsked(), Jobs, patient=True).jobs
        if at_work := [job.run_id for job in jobs if job.place is None]:
            raise CliError(
                f"The deployment is at work ({', '.join(at_work)}): let that end, or cancel it, then repeat."
            )
        yield
    finally:
        if not paused_before:
            _resume(deployment)


def _resume(deployment: Deployment) -> None:
    try:
        deployment.ask("resume", JobsAsked(), Resumed, patient=True)
    except CliError as error:
        screen.say(f"The deployment's starts stay paused until: hybrid-sync resume. {error}", err=True)

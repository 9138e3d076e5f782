"""No run that was stopped, or that broke off, stays `running` for ever: who finds one ends it and alerts people."""

from __future__ import annotations

from contextlib import suppress

from hybrid_sync.alerts import Alert
from hybrid_sync.errors import AwsUnavailable, Contention
from hybrid_sync.failures.cause import of_execution
from hybrid_sync.postgres import Connection, transaction
from hybrid_sync.runs.lost import end_lost_runs
from hybrid_sync.world import World


def end_lost_runs_and_alert(world: World, target: Connection, *, finder: str = "") -> dict[str, str]:
    """End lost runs in the target and alert people; returns the status that each was given, by run id.

    Does nothing where Step Functions does not answer or somebody holds a lock.  `finder` is the run that looks, if any.
    """
    ended: dict[str, str] = {}
    with suppress(AwsUnavailable, Contention), transaction(target, "target"):
        why = of_execution(world.executions.failure)
        ended = end_lost_runs(target, world.executions.status, why, but=finder)
        reads = f"Run {finder}, which found it," if finder else "The next run of its entities"
        for other, status in ended.items():  # before the commit: an alert that cannot be sent is sent by the next one
            lines = (
                f"Run {other} did not end by itself, and is {status}: it verified nothing more, and no fence of what"
                f" it had not verified moved. {reads} reads those rows again.",
            )
            see = f"hybrid-sync report {other}"
            remedy = "Start it again, or leave it to the next scheduled run: nothing is lost in between."
            alert = Alert(
                f"run {status}", lines, urgent=True, remedy=remedy, command=see, path=f"runs/{other}"
            )  # fmt: skip
            world.alerts.publish(alert)
    return ended

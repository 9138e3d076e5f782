"""Start what was missed: scheduled runs and events of the bus that AWS could not deliver in time.

Lambda repeats a call that failed twice, within some three minutes, and an outage of DynamoDB may last for hours.  What
was given up lies in the queue of missed schedules, which brings it here every five minutes until it is taken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from hybrid_sync.admission.gate import Gate
from hybrid_sync.admission.scheduled import CALLER, Scheduled
from hybrid_sync.admission.startable import ScheduledRun
from hybrid_sync.alerts import Alert
from hybrid_sync.dataclass import dataclass
from hybrid_sync.entrypoint import Event, error_sentence, logger, parsed, raised_at
from hybrid_sync.errors import RunNotFound, SyncError
from hybrid_sync.failures.again import until
from hybrid_sync.world import World

NOBODY_WAITS = {"aws.scheduler", "aws.states"}
"""Sources of ticks of a clock, and of executions that have ended: the next tick does the same."""


class Admitting(World, Protocol):
    """With the gate."""

    @property
    def gate(self) -> Gate: ...


@dataclass(frozen=True)
class Late:
    """What was started late, or, too late for that, was not."""

    sentence: str
    remedy: str = ""
    """What a person has to do; empty where it is started."""


def start_missed(world: Admitting, bodies: Mapping[str, str], hear: Callable[[Event], str | None]) -> list[str]:
    """Take up each body, given by its message's id, and alert people once of all; returns the ids that must come again.

    What has been taken up before, or has got through by itself, is passed over.  `hear` takes an event of the bus and
    says which run it has started, if any.
    """
    late: list[Late] = []
    left: list[str] = []
    for message_id, body in bodies.items():
        try:
            found = _taken_up(world, json.loads(body), hear)
        except Exception as error:  # noqa: BLE001 - the border: one message keeps none of the others
            logger.warning(
                "message failed",
                extra={"message_id": message_id, "error": error_sentence(error)[0], "raised_at": raised_at(error)},
            )
            left.append(message_id)
        else:
            late += [found] if found else []
    if late:
        _notify(world, late)
    return left


def _taken_up(world: Admitting, event: Event, hear: Callable[[Event], str | None]) -> Late | None:
    if "scheduled_at" in event:
        return _started(world, parsed(ScheduledRun, event))
    if event.get("source", "aws.scheduler") in NOBODY_WAITS:
        return None
    run_id = hear(event)
    return (
        Late(f"An event of the bus could not be heard in time; its run {run_id} is accepted now.") if run_id else None
    )


def _started(world: Admitting, scheduled: ScheduledRun) -> Late | None:
    """Within the window in which it would be started again had it failed; later than that a person decides."""
    named = Scheduled(scheduled.request.profile, scheduled.scheduled_at)
    if _known(world.gate, named.job_id):
        return None
    due = f"The {named.profile} run that was due at {named.due:%Y-%m-%d %H:%M} UTC could not be started"
    hours = world.limits(named.profile).again_hours
    if world.now() > until(named, hours):
        return Late(
            f"{due}, and the {hours:g} hours in which it starts by itself are over.",
            f"Start it: hybrid-sync sync --profile {named.profile}",
        )
    world.gate.add(scheduled.request, named.job_id, CALLER)
    logger.info("scheduled run accepted late", extra={"run_id": named.job_id})
    return Late(f"{due} then; it is accepted now, as {named.job_id}.")


def _known(gate: Gate, job_id: str) -> bool:
    try:
        gate.standing(job_id)
    except RunNotFound:
        return False
    return True


def _notify(world: World, late: Sequence[Late]) -> None:
    """Whoever could not be alerted finds it in the log: the runs are started all the same."""
    remedies = tuple(dict.fromkeys(one.remedy for one in late if one.remedy))
    alert = Alert(
        "a scheduled run was not started" if remedies else "what AWS could not deliver in time starts late",
        tuple(one.sentence for one in late), urgent=bool(remedies), cause="missed",
        remedy=" ".join(f"{one}." for one in remedies), command="hybrid-sync status",
    )  # fmt: skip
    try:
        world.alerts.publish(alert)
    except SyncError as error:
        logger.warning("alert not sent", extra={"error": f"{error.code}: {error}"})

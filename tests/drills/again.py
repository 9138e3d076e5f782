"""A scheduled run that fails for a cause that passes: it starts again by itself, at its hours, until it succeeds."""

from __future__ import annotations

from datetime import timedelta

import psycopg

from hybrid_sync.admission.job import Job, JobState, due
from tests.drills.ground import Ground, NotWell
from tests.drills.play import Night

ENTITY, TABLE, LOCKED = "offices", "dispatch_office", "public.offices"
DEADLINE = 30
"""Seconds; a page waits longer than that for a lock, in all its attempts."""
PAUSES = (timedelta(minutes=15), timedelta(hours=1))
SLACK = timedelta(minutes=1)


def tries_again(night: Night) -> None:
    """Somebody's session holds a lock for as long as two attempts last; the clock is put forward to each next one."""
    ground = night.ground
    ground.legacy(f"update {TABLE} set tax_rate = tax_rate + 0.001")
    with psycopg.connect(ground.stack.target_dsn, application_name="a long report") as holder:
        holder.execute(f"lock table {LOCKED} in share row exclusive mode".encode())
        run_id = ground.clock_strikes(entities=[ENTITY], deadline_seconds=DEADLINE)
        for number, pause in enumerate(PAUSES, 2):
            if (ended := ground.ended(run_id)) != "failed":
                raise NotWell(f"{run_id} ended {ended}.")
            night.until_named()
            coming = _waits_for_its_time(ground, run_id, pause)
            if number - 1 < len(PAUSES):
                ground.next_attempt(run_id)
                run_id = coming
    night.go_on(run_id)


def _waits_for_its_time(ground: Ground, run_id: str, pause: timedelta) -> str:
    """The next attempt, which is stored, is not at work, and is told on the page with its hour."""
    failed, coming = ground.job(run_id), ground.job(ground.name_after(run_id))
    if failed is None or failed.ended_at is None or coming is None or coming.state is not JobState.later:
        raise NotWell(f"{run_id} failed, and no attempt waits for its time: {coming and coming.state}.")
    waits = due(coming) - failed.ended_at
    if abs(waits - pause) > SLACK:
        raise NotWell(f"{coming.job_id} starts after {waits}, not after {pause}.")
    _is_told(ground, coming)
    return coming.job_id


def _is_told(ground: Ground, coming: Job) -> None:
    page, hour = ground.operator.page(), f"{due(coming):%Y-%m-%d %H:%M} UTC"
    if f"Starts again at {hour}" not in page:
        raise NotWell(f"The page does not say that {coming.job_id} starts at {hour}: {page}")

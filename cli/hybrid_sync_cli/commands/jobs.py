"""`hybrid-sync syncs`, `cancel`, `pause`, `resume`: what runs and waits at the gate, and what people do about it."""

from __future__ import annotations

import json

import click

from hybrid_sync.report.words import NOTHING, status_word
from hybrid_sync.services.messages.jobs import CancelAsked, JobAnswer, Jobs, JobsAsked, PauseAsked, Resumed
from hybrid_sync_cli import tables
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.execution import run_named
from hybrid_sync_cli.screen import say


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def syncs(as_json: bool) -> None:
    """What runs and what waits, with its place and why."""
    found = Deployment.chosen().ask("syncs", JobsAsked(), Jobs)
    if as_json:
        click.echo(found.model_dump_json())
        return
    if found.paused:
        say(f"Starts are paused {found.paused}: go on with hybrid-sync resume.")
    if not found.jobs:
        click.echo("Nothing runs, and nothing waits.")
        return
    head = ("run", "status", "priority", "accepted", "place", "why")
    tables.console().print(tables.plain(head, map(_row, found.jobs), right=("place",)))
    listed = sum(job.place is not None for job in found.jobs)
    if listed < found.waiting:
        say(f"{listed} of {found.waiting:,} that wait are shown.")


def _row(job: JobAnswer) -> tuple[str, ...]:
    also = f"answers for {len(job.answers_for)} more; " if job.answers_for else ""
    return (
        job.run_id, status_word(job.status), job.priority,
        f"{job.accepted_at:%Y-%m-%d %H:%M:%S}" if job.accepted_at else NOTHING,
        NOTHING if job.place is None else str(job.place), f"{also}{job.why}".rstrip("; "),
    )  # fmt: skip


@click.command()
@click.argument("run_id", metavar="RUN")
def cancel(run_id: str) -> None:
    """End RUN in whatever state it is; what it has committed stays, and the next run goes on from there."""
    deployment = Deployment.chosen()
    run_id = run_named(deployment, run_id)
    job = deployment.ask("cancel", CancelAsked(run_id=run_id), JobAnswer)
    if job.status == "cancelled":
        say(f"Run {run_id} is cancelled.")
    elif job.status == "running":
        say(f"Run {run_id} is being stopped; see hybrid-sync syncs.")
    elif job.status == "ended":
        say(f"Run {run_id} had ended before; how: hybrid-sync status {run_id}")
    else:
        say(f"Run {run_id} had ended before: {job.status}.")


@click.command()
@click.option("--why", default="", help="The reason, for whoever finds it paused.")
def pause(why: str) -> None:
    """Start no run, critical ones included, and retry no failed record, until somebody resumes.

    What is asked for waits, and what runs goes on.
    """
    found = Deployment.chosen().ask("pause", PauseAsked(reason=why), Jobs)
    running = sum(job.place is None for job in found.jobs)
    say(
        f"Starts are paused; {running} still run, {found.waiting} wait. No failed record is tried again meanwhile; what"
        " the queue has begun ends within two minutes. Go on with: hybrid-sync resume"
    )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def resume(as_json: bool) -> None:
    """Start runs again."""
    started = Deployment.chosen().ask("resume", JobsAsked(), Resumed).started
    if as_json:
        click.echo(json.dumps({"started": started}))
    else:
        say(f"Runs start again; at once: {', '.join(started) or 'none, nothing waits'}.")


commands: list[click.Command] = [syncs, cancel, pause, resume]

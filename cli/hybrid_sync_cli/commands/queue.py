"""`hybrid-sync queue`: what runs and what waits, for whom and for how long; and the failed records' own queues."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import click

from hybrid_sync.report.words import NOTHING, age, count, status_word
from hybrid_sync.services.messages.runs import OverviewAsked
from hybrid_sync.services.views.model import Overview, Queue, Running
from hybrid_sync_cli import screen
from hybrid_sync_cli.deployment import Deployment


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def queue(as_json: bool) -> None:
    """What runs and waits: its place, its attempt, who holds what it waits for; failed records, with their ages."""
    seen = Deployment.chosen().ask("overview", OverviewAsked(), Overview, patient=True)
    if as_json:
        click.echo(seen.model_dump_json(include={"at", "away", "paused", "running", "queues"}))
        return
    for sentence in _above(seen):
        screen.say(sentence)
    if seen.running:
        head = ("run", "status", "priority", "place", "for", "waits for")
        rows = (_run(run, seen.at) for run in seen.running)
        screen.console().print(screen.plain(head, rows, right=("place",), spare=("priority",)))
        click.echo()
    numbers = ("records", "messages")
    queues = (_queue(one, seen.at) for one in seen.queues)
    screen.console().print(screen.plain(("queue", *numbers, "oldest"), queues, right=numbers))


def _above(seen: Overview) -> Iterator[str]:
    if seen.away:
        yield f"{seen.away} What follows is what AWS knows."
    if seen.paused:
        yield f"Starts are paused {seen.paused}: go on with hybrid-sync resume."
        yield "Messages about failed records wait, too, and cost no attempt; each is looked at within two minutes then."
    if not seen.running:
        yield "Nothing runs, and nothing waits."


def _run(run: Running, now: datetime) -> tuple[str, ...]:
    place = NOTHING if run.place is None else str(run.place)
    return (
        run.run_id, status_word(run.status), run.priority, place, age(now - run.started_at),
        "; ".join(run.waiting_for) or NOTHING,
    )  # fmt: skip


def _queue(one: Queue, now: datetime) -> tuple[str, ...]:
    return one.title, count(one.records), count(one.messages), age(now - one.oldest) if one.oldest else NOTHING


commands: list[click.Command] = [queue]

"""`hybrid-sync dashboard` and `hybrid-sync watch`: the overview in a browser, and in the terminal."""

from __future__ import annotations

import sys
import time
import webbrowser
from collections.abc import Iterator

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hybrid_sync.report.document import Tone
from hybrid_sync.report.money import in_words
from hybrid_sync.report.words import NOTHING, age, compact, count, duration, n_of, percent, status_word
from hybrid_sync.services.messages.runs import OverviewAsked
from hybrid_sync.services.views.model import Need, Overview, Running
from hybrid_sync_cli import screen, tables
from hybrid_sync_cli.deployment import Deployment

PAUSE = 3.0
_MARKS = {Tone.good: ("✓", "green"), Tone.warning: ("▲", "yellow"), Tone.bad: ("✗", "red"), Tone.quiet: ("–", "dim")}
_BAR = 24


@click.command()
@click.option("--print", "only_print", is_flag=True, help="Print the address, and start no browser.")
def dashboard(only_print: bool) -> None:
    """Open the dashboard in a browser, and print its address."""
    address = f"{Deployment.chosen().url}/dashboard"
    click.echo(address)
    if not only_print and not webbrowser.open(address):
        click.echo("No browser could be started here: open the address yourself.", err=True)


@click.command()
@click.option("--once", is_flag=True, help="Show it once; the default where no terminal is looking.")
@click.option("--json", "as_json", is_flag=True, help="Print it once as JSON.")
def watch(once: bool, as_json: bool) -> None:
    """The overview in the terminal: what is right, what needs a person, what is at work."""
    deployment = Deployment.chosen()
    if as_json:
        click.echo(_look(deployment).model_dump_json(indent=2))
    elif once or not sys.stdout.isatty():
        tables.console().print(drawn(_look(deployment)), soft_wrap=screen.width() is None)
    else:
        _live(deployment)


def _look(deployment: Deployment) -> Overview:
    return deployment.ask("overview", OverviewAsked(), Overview, patient=True)


def _live(deployment: Deployment) -> None:
    """Until it is interrupted, which is how one leaves it."""
    with Live(drawn(_look(deployment)), console=Console(highlight=False), screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(PAUSE)
            live.update(drawn(_look(deployment)), refresh=True)


def drawn(seen: Overview) -> RenderableType:
    """The whole of it, the worst first."""
    return Group(*_parts(seen))


def _parts(seen: Overview) -> Iterator[RenderableType]:
    mark, style = _MARKS[seen.state.tone]
    yield Text(f"{mark} {seen.state.sentence}", style=style)
    yield Text(f"  {'; '.join(_facts(seen))}", style="dim")
    if seen.needs:
        yield Text(f"\nNeeds a person ({len(seen.needs)})", style="bold")
        for need in seen.needs:
            yield _need(need, seen)
    yield Text(f"\nAt work ({len(seen.running)})" if seen.running else "\nNothing is at work.", style="bold")
    for run in seen.running:
        yield from _run(run)
    if seen.runs:
        head = ("run", "ended as", "read", "new", "changed", "deleted", "new failures", "took")
        rows = [
            (r.run_id, status_word(r.status), *map(count, (r.read, r.new, r.changed, r.deleted, r.new_failures)),
             duration(r.seconds))
            for r in seen.runs[:5]
        ]  # fmt: skip
        yield Text("")
        yield tables.plain(head, rows, right=head[2:])


def _facts(seen: Overview) -> Iterator[str]:
    until = seen.freshness.complete_until
    if seen.rows is not None:
        yield f"{percent(seen.rows.share)} of rows current (goal 99 %)"
    if seen.money:
        yield ", ".join(in_words(one.current, one.currency) for one in seen.money)
    if until is not None:
        yield f"{age(seen.at - until)} behind legacy (goal 4 days)"
    for one in seen.next_runs[:1]:
        yield f"next: {one.title.lower()} {f'in {age(one.at - seen.at)}' if one.at else one.expression}"
    for queue in seen.queues:
        if queue.records:
            yield f"{queue.title.lower()}: {queue.records:,}"
    for server in seen.servers:
        if not server.ok:
            yield f"{server.name} is away"


def _need(need: Need, seen: Overview) -> Text:
    mark, style = _MARKS[need.tone]
    since = f", for {age(seen.at - need.since)}" if need.since else ""
    said = Text(f"  {mark} {need.title}{since}", style=style)
    said.append(f"\n    {need.cause} {need.remedy}", style="default")
    if need.command:
        said.append(f"\n    {need.command}", style="cyan")
    return said


def _run(run: Running) -> Iterator[RenderableType]:
    place = f", place {run.place} in the queue" if run.place else ""
    yield Text(f"  {run.title}  {run.run_id}  {run.status}{place}")
    for waited in run.waiting_for:
        yield Text(f"    waits for {waited}", style="yellow")
    if not run.lanes:
        return
    left = f", about {duration(run.seconds_left)} left" if run.seconds_left is not None else ""
    if run.planned and run.done == run.planned and not run.unplanned:
        left = ", all carried, being verified"
    pace = f", {compact(run.rows_per_second)} rows/s" if run.rows_per_second else ""
    yield Text(f"    {run.done} of {n_of(run.planned, 'batch', 'batches')}, {n_of(run.rows, 'row')}{pace}{left}")
    grid = Table.grid(padding=(0, 1))
    for lane in run.lanes:
        share = lane.done / lane.planned if lane.planned else float(lane.planned == 0)
        bar = "━" * round(share * _BAR)
        grid.add_row(
            "   ", lane.title, Text(bar.ljust(_BAR, "─"), style="blue"), lane.status, count(lane.rows) or NOTHING
        )
    yield grid


commands: list[click.Command] = [dashboard, watch]

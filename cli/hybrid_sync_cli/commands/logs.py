"""`hybrid-sync logs RUN`: what the functions that worked for a run have logged; keys, codes and counts."""

from __future__ import annotations

import click

from hybrid_sync.services.messages.logs import MOST, LogLine, Logs, LogsAsked
from hybrid_sync_cli import screen
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.execution import run_named


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--trouble", is_flag=True, help="Warnings and errors alone.")
@click.option("--limit", type=click.IntRange(1, MOST), default=200, show_default=True, help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def logs(run_id: str, trouble: bool, limit: int, as_json: bool) -> None:
    """The log lines of RUN, the oldest first: when, which function, of which entity and batch, what it counted."""
    deployment = Deployment.chosen()
    asked = LogsAsked(run_id=run_named(deployment, run_id), limit=limit, trouble=trouble)
    found = deployment.ask("logs", asked, Logs, patient=True)
    if as_json:
        click.echo(found.model_dump_json())
        return
    for line in found.lines:
        screen.say(in_words(line, deployment.location.stack))
    if not found.lines:
        screen.say(f"There are no {'warnings or errors' if trouble else 'log lines'} of {found.run_id}.")
    if len(found.lines) < found.every:
        screen.say(f"The newest {len(found.lines):,} of {found.every:,} are shown: see more with --limit.", err=True)
    if not found.whole:
        screen.say("The logs are too long to be looked through in one call: some lines are missing.", err=True)


def in_words(line: LogLine, stack: str) -> str:
    """`15:28:01 sync-batch payments, payment 0..500: step done; read 412, inserted 90`."""
    where = ", ".join(filter(None, (line.entity, line.batch)))
    level = "" if line.level == "INFO" else f" {line.level}"
    counted = ", ".join(name if value is True else f"{name} {value:,}" for name, value in line.numbers.items() if value)
    said = "; ".join(filter(None, (line.message, line.error, counted, line.raised_at)))
    return f"{line.at:%H:%M:%S}{level} {line.function.removeprefix(f'{stack}-')}{f' {where}' if where else ''}: {said}"


commands: list[click.Command] = [logs]

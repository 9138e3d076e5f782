"""`hybrid-sync audit`: who did what to the deployment."""

from __future__ import annotations

import json
from datetime import datetime

import click

from hybrid_sync.services.trail import Line, Trail, TrailAsked
from hybrid_sync_cli import tables
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.moments import MOMENT, utc


@click.command()
@click.option("--who", help="A name as the list shows it, or its end: a user's name, a token's id.")
@click.option("--command", "name", help="A command such as hold, or an endpoint such as 'POST /v1/syncs'.")
@click.option("--outcome", type=click.Choice(["done", "refused", "failed"]), help="What came of it.")
@click.option("--since", type=MOMENT, help="From this time on, UTC.")
@click.option("--until", type=MOMENT, help="Before this time, UTC.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="How many lines.")
@click.option("--before", type=int, help="Go on behind the line of this id.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit(
    who: str | None, name: str | None, outcome: str | None, since: datetime | None, until: datetime | None,
    limit: int, before: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Who changed what, when and from where, and whether it was done, refused or failed; the newest first."""
    asked = {"who": who, "command": name, "outcome": outcome, "since": utc(since), "until": utc(until)}
    given = TrailAsked.model_validate({**asked, "limit": limit, "before": before})
    found = Deployment.chosen().ask("audit", given, Trail)
    if as_json:
        click.echo(json.dumps([line.model_dump(mode="json") for line in found.lines]))
        return
    if not found.lines:
        click.echo("Nobody has done anything of the kind.")
        return
    head = ("id", "at", "who", "from", "act", "outcome", "what")
    tables.console().print(tables.plain(head, map(_row, found.lines), right=("id",)))
    if len(found.lines) < found.every:
        click.echo(
            f"{len(found.lines)} of {found.every:,} are shown: go on with --before {found.lines[-1].id}.", err=True
        )


def _row(line: Line) -> tuple[str, ...]:
    said = {name: value if isinstance(value, str) else json.dumps(value) for name, value in line.what.items()}
    what = " ".join(f"{name}={value}" for name, value in said.items())
    outcome = f"{line.outcome} ({line.code})" if line.code else line.outcome
    return (str(line.id), f"{line.at:%Y-%m-%d %H:%M:%S}", line.who, line.source_ip, line.command, outcome, what)


commands: list[click.Command] = [audit]

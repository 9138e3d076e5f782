"""`hybrid-sync audit`: who did what to the deployment."""

from __future__ import annotations

import json
from datetime import datetime

import click

from hybrid_sync.services.messages.trail import Line, Trail, TrailAsked, Verified, VerifyAsked
from hybrid_sync_cli import tables
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.exits import FAILED
from hybrid_sync_cli.moments import MOMENT, utc


@click.group(invoke_without_command=True)
@click.option("--who", help="A name as the list shows it, or its end: a user's name, a token's id.")
@click.option("--command", "name", help="A command such as hold, or an endpoint such as 'POST /v1/syncs'.")
@click.option("--outcome", type=click.Choice(["done", "refused", "failed"]), help="What came of it.")
@click.option("--since", type=MOMENT, help="From this time on, UTC.")
@click.option("--until", type=MOMENT, help="Before this time, UTC.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="How many lines.")
@click.option("--before", type=int, help="Go on behind the line of this id.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def audit(
    ctx: click.Context, who: str | None, name: str | None, outcome: str | None, since: datetime | None,
    until: datetime | None, limit: int, before: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Who changed what, when and from where, and whether it was done, refused or failed; the newest first."""
    if ctx.invoked_subcommand is not None:
        return
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


@audit.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(as_json: bool) -> int:
    """Is every line as it was written, and none gone; exit status 1 where not.

    Each line carries a hash over itself and the line before; the copies in S3, made once a day, have the hashes, too.
    """
    deployment, after, lines, copied = Deployment.chosen(), 0, 0, 0
    broken: list[int] = []
    lost: list[int] = []
    gaps: list[int] = []
    while True:
        found = deployment.ask("audit-verify", VerifyAsked(after=after), Verified, patient=True)
        lines, copied = lines + found.lines, found.copied
        broken, lost, gaps = [*broken, *found.broken], [*lost, *found.lost], [*gaps, *found.gaps]
        if found.next is None:
            break
        after = found.next
    if as_json:
        click.echo(json.dumps({"lines": lines, "broken": broken, "lost": lost, "gaps": gaps, "copied": copied}))
        return FAILED if broken or lost or gaps else 0
    for line in broken:
        click.echo(f"Line {line} is not as it was written, or one before it is gone.")
    for line in lost:
        click.echo(f"Line {line} is gone, or not as the copy in S3 has it.")
    for line in gaps:
        click.echo(f"Copies of lines before line {line} are missing in S3.")
    if broken or lost or gaps:
        click.echo(
            "Compare with the copies under audit/ in the data bucket, and find out who owns the target's schema."
        )
        return FAILED
    kept = "No line has a copy in S3 yet." if not copied else f"Copies in S3 reach to line {copied:,}."
    click.echo(f"All {lines:,} lines are as they were written. {kept}")
    return 0


def _row(line: Line) -> tuple[str, ...]:
    said = {name: value if isinstance(value, str) else json.dumps(value) for name, value in line.what.items()}
    what = " ".join(f"{name}={value}" for name, value in said.items())
    outcome = f"{line.outcome} ({line.code})" if line.code else line.outcome
    return (str(line.id), f"{line.at:%Y-%m-%d %H:%M:%S}", line.who, line.source_ip, line.command, outcome, what)


commands: list[click.Command] = [audit]

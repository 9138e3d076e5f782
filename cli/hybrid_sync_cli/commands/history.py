"""`hybrid-sync history`: the life of one legacy row."""

from __future__ import annotations

import click

from hybrid_sync.services.messages.answers import Event, History
from hybrid_sync.services.messages.records import MOST_EVENTS, HistoryAsked
from hybrid_sync_cli import tables
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.execution import reference


@click.command()
@click.argument("row", metavar="ENTITY:KEY")
@click.option("--limit", type=click.IntRange(1, MOST_EVENTS), default=50, show_default=True, help="How many events.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def history(row: str, limit: int, as_json: bool) -> None:
    """Each run that wrote the row, undid that, was asked for it or failed at it; never a value, the newest first.

    A row is named as in payments:17229, role_permissions:3,41 or case_messages/comment:12.
    """
    asked = HistoryAsked(ref=reference(row), limit=limit)
    found = Deployment.chosen().ask("history", asked, History, patient=True)
    if as_json:
        click.echo(found.model_dump_json())
        return
    if not found.events:
        click.echo(f"Nothing is known of {row}.")
        return
    tables.console().print(tables.plain(("at", "what", "why", "run", "asked for by"), map(_row, found.events)))
    if found.more:
        click.echo(f"The {limit} newest events are shown: see more with --limit.", err=True)


def _row(event: Event) -> tuple[str, ...]:
    what = event.what.replace("_", " ")
    run = f"{event.run_id} (undoes {event.undoes})" if event.undoes else event.run_id
    return (f"{event.at:%Y-%m-%d %H:%M:%S}", what, event.detail, run, event.requested_by or event.trigger)


commands: list[click.Command] = [history]

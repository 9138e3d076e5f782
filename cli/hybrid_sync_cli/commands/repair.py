"""`hybrid-sync repair`: tables, queues and the bucket that somebody has deleted, made anew as the template has them."""

from __future__ import annotations

import click

from hybrid_sync_cli.deployment.location import Location, sentences
from hybrid_sync_cli.deployment.outputs import described
from hybrid_sync_cli.deployment.repair import Repair, restored


@click.command()
def repair() -> None:
    """Make a deployment's tables, queues and bucket anew where they are gone; what is there stays as it is."""
    location = Location.chosen()
    stack = described(location)
    with sentences(location.stack, location.region, location.profile):
        made = []
        for part, anew in restored(Repair(location, stack)):
            if anew:
                made.append(part)
                click.echo(f"Made anew, and empty: {part.title}. {part.then}".rstrip())
    if not made:
        click.echo("Nothing is missing: both tables, both queues and the bucket are there.")


commands: list[click.Command] = [repair]

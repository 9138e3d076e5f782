"""`hybrid-sync levels`: which goals the deployment meets."""

from __future__ import annotations

import click

from hybrid_sync.recorded.levels import PERIOD_DAYS, Levels
from hybrid_sync.report.words import NOTHING, age
from hybrid_sync.services.messages.measures import LevelsAsked
from hybrid_sync_cli import tables
from hybrid_sync_cli.deployment import Deployment


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON: entities and critical requests, too.")
def levels(as_json: bool) -> None:
    """Which goals are met, missed or not measured, each with its number and where that comes from."""
    found = Deployment.chosen().ask("levels", LevelsAsked(), Levels)
    if as_json:
        click.echo(found.model_dump_json())
        return
    tables.console().print(tables.goals(found))
    if old := [f"{one.entity} {NOTHING if one.seconds is None else age(one.age)}" for one in found.stale]:
        click.echo(f"Older than wanted, or never carried: {', '.join(old)}")
    click.echo(f"{found.in_words}; runs, requests and answers of {PERIOD_DAYS} days.")


commands: list[click.Command] = [levels]

"""`hybrid-sync check`: whether the deployment is fit to run, seen from inside it."""

from __future__ import annotations

import click

from hybrid_sync_cli.checking import checked, show
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.exits import FAILED


@click.command()
@click.option(
    "--disk-gb",
    type=click.FloatRange(min=0, min_open=True),
    help="The size of the target's disk, which SQL cannot see: whether what is to come will fit.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON, and nothing else.")
def check(disk_gb: float | None, as_json: bool) -> int:
    """Look from inside the deployment at all that a run depends on; exit status 1 if anything found is an error.

    Connections, rights, the catalog against both schemas, head-room, quotas, clocks, health. Nothing is changed.
    Scheduled runs start once the catalog has passed a check.
    """
    outcome = checked(Deployment.chosen(), disk_gb)
    if as_json:
        click.echo(outcome.model_dump_json())
    else:
        show(outcome)
    return 0 if outcome.passed else FAILED


commands: list[click.Command] = [check]

"""`hybrid-sync hold` and `release`: keep an entity of the target as it is until a person says otherwise."""

from __future__ import annotations

import getpass

import click

from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import catalog_of_project, target
from hybrid_sync_cli.stack import Stack

_HOLD = """
insert into hybrid_sync.entity_state (entity, held, held_by, held_why) values (%(entity)s, true, %(by)s, %(why)s)
on conflict (entity) do update set held = true, held_by = excluded.held_by, held_why = excluded.held_why
"""
_RELEASE = """
update hybrid_sync.entity_state set held = false, held_by = null, held_why = null
where entity = %(entity)s and held returning 1
"""


@click.command()
@click.argument("entity")
@click.option("--why", required=True, help="The reason, for whoever finds it held.")
def hold(entity: str, why: str) -> None:
    """Let nothing be written to ENTITY, and let its fence stay; batches at work finish first."""
    stack = Stack.load()
    catalog_of_project()[entity]
    with target(stack) as connection:
        connection.execute(_HOLD, {"entity": entity, "by": getpass.getuser(), "why": why})
    click.echo(f"{entity} is held; its changes wait. Let it go on with: hybrid-sync release {entity}")


@click.command()
@click.argument("entity")
def release(entity: str) -> None:
    """Let ENTITY be written again; the next run brings what changed meanwhile."""
    stack = Stack.load()
    with target(stack) as connection:
        released = connection.execute(_RELEASE, {"entity": entity}).fetchone()
    if released is None:
        raise CliError(f"{entity} is not held: nothing to release.")
    click.echo(f"{entity} is released; start a run with: hybrid-sync sync --entity {entity} --profile weekly")


commands: list[click.Command] = [hold, release]

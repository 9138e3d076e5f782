"""`hybrid-sync hold`, `holds` and `release`: an entity of the target stays as it is until a person says otherwise."""

from __future__ import annotations

import getpass

import click

from hybrid_sync.runs import holds as engine
from hybrid_sync_cli import tables
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import catalog_of_project, target
from hybrid_sync_cli.stack import Stack


@click.command()
@click.argument("entity")
@click.option("--why", required=True, help="The reason, for whoever finds it held.")
def hold(entity: str, why: str) -> None:
    """Let nothing be written to ENTITY, and let its fence stay; batches at work finish first."""
    stack = Stack.load()
    catalog_of_project()[entity]
    with target(stack) as connection, connection.transaction():
        engine.hold(connection, [entity], getpass.getuser(), why)
    click.echo(f"{entity} is held; its changes wait. Let it go on with: hybrid-sync release {entity}")


@click.command()
def holds() -> None:
    """Which entities are held, by whom and why."""
    with target(Stack.load()) as connection:
        found = engine.holds(connection)
    if not found:
        click.echo("No entity is held.")
        return
    rows = ((hold.entity, hold.by or "", hold.why or "") for hold in found)
    tables.console().print(tables.plain(("entity", "held by", "why"), rows))


@click.command()
@click.argument("entities", metavar="ENTITY…", nargs=-1, required=True)
def release(entities: tuple[str, ...]) -> None:
    """Let each ENTITY be written again; the next run brings what changed, or was undone, meanwhile."""
    stack = Stack.load()
    with target(stack) as connection, connection.transaction():
        released = engine.release(connection, entities)
        missing = sorted(set(entities) - set(released))
        if missing:
            kept = (
                f" nothing was released, {', '.join(released)} stays held too." if released else " nothing to release."
            )
            raise CliError(f"{', '.join(missing)} is not held:{kept}")
    named = " ".join(f"--entity {entity}" for entity in released)
    is_or_are = "is" if len(released) == 1 else "are"
    click.echo(
        f"{', '.join(released)} {is_or_are} released; start a run with: hybrid-sync sync {named} --profile weekly"
    )


commands: list[click.Command] = [hold, holds, release]

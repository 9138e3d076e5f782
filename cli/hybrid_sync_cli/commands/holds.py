"""`hybrid-sync hold`, `holds` and `release`: an entity of the target stays as it is until a person says otherwise."""

from __future__ import annotations

import click

from hybrid_sync.services.messages.answers import Hold, Holds, Released
from hybrid_sync.services.messages.holds import HoldAsked, HoldsAsked, ReleaseAsked
from hybrid_sync_cli import tables
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.execution import LATEST, run_named
from hybrid_sync_cli.screen import say


@click.command()
@click.argument("entity")
@click.option("--why", required=True, help="The reason, for whoever finds it held.")
def hold(entity: str, why: str) -> None:
    """Let nothing be written to ENTITY, and let its fence stay; batches at work finish first."""
    Deployment.chosen().ask("hold", HoldAsked(entity=entity, why=why), Hold)
    say(f"{entity} is held; its changes wait. Let it go on with: hybrid-sync release {entity}")


@click.command()
def holds() -> None:
    """Which entities are held, by whom and why."""
    found = Deployment.chosen().ask("holds", HoldsAsked(), Holds).holds
    if not found:
        click.echo("No entity is held.")
        return
    rows = ((hold.entity, hold.by or "", hold.why or "") for hold in found)
    tables.console().print(tables.plain(("entity", "held by", "why"), rows))


@click.command()
@click.argument("entities", metavar="ENTITY…|RUN", nargs=-1, required=True)
def release(entities: tuple[str, ...]) -> None:
    """Let each ENTITY be written again, or all that RUN holds; the next run brings what changed, or was undone,
    meanwhile."""
    deployment = Deployment.chosen()
    # No entity's name has a hyphen, and every run's id has one.
    if len(entities) == 1 and (entities[0] == LATEST or "-" in entities[0]):
        asked = ReleaseAsked(run_id=run_named(deployment, entities[0]))
    else:
        asked = ReleaseAsked(entities=entities)
    released = deployment.ask("release", asked, Released).released
    named = " ".join(f"--entity {entity}" for entity in released)
    is_or_are = "is" if len(released) == 1 else "are"
    say(f"{', '.join(released)} {is_or_are} released; start a run with: hybrid-sync sync {named} --profile weekly")


commands: list[click.Command] = [hold, holds, release]

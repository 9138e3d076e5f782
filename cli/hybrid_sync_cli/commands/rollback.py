"""`hybrid-sync rollback RUN`: undo what a run wrote; the deployment does it, some seconds per call."""

from __future__ import annotations

from pathlib import Path

import click

from hybrid_sync.contracts import RollbackOutcome, RollbackTask
from hybrid_sync.report.story.rollback import REASONS
from hybrid_sync.services.messages.undoing import RollbackAsked
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import LATEST, catalog_of_project, run_named
from hybrid_sync_cli.here.options import of_this_machine, world_of
from hybrid_sync_cli.screen import say


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "--out-of-order",
    is_flag=True,
    help="Although later runs wrote to the same entities; rows that they wrote are left alone.",
)
@click.option("--here", is_flag=True, help="In this process, without AWS; with --secret as for run --here.")
@of_this_machine
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def rollback(
    run_id: str, out_of_order: bool, here: bool, secret: Path | None, folder: Path | None, erasures: Path | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Undo RUN where its rows still are what it wrote, and hold its entities; exit status 1 if some were not."""
    if not here and (secret or folder or erasures):
        raise CliError("--secret, --folder and --erasures are for --here: leave them out, or say --here, too.")
    outcome = (
        _undone_here(run_id, out_of_order, secret, folder, erasures, as_json)
        if here else _undone(run_id, out_of_order, as_json)
    )  # fmt: skip
    if as_json:
        click.echo(outcome.model_dump_json())
    else:
        _show(outcome)
    return 1 if outcome.undone.conflicts or outcome.failed else 0


def _undone(run_id: str, out_of_order: bool, as_json: bool) -> RollbackOutcome:
    deployment = Deployment.chosen()
    asked = RollbackAsked(run_id=run_named(deployment, run_id), out_of_order=out_of_order)
    outcome = deployment.ask("rollback", asked, RollbackOutcome, patient=True)
    said = _done(RollbackOutcome(run_id=run_id, rollback_id=""))
    while outcome.more:
        if not as_json and _done(outcome) != said:
            say(f"{(said := _done(outcome))} so far")
        asked = asked.model_copy(update={"rollback_id": outcome.rollback_id})
        outcome = deployment.ask("rollback", asked, RollbackOutcome, patient=True)
    return outcome


def _undone_here(
    run_id: str, out_of_order: bool, secret: Path | None, folder: Path | None, erasures: Path | None, as_json: bool
) -> RollbackOutcome:  # fmt: skip
    from hybrid_sync_cli.here.perform import undo  # the engine

    if run_id == LATEST:
        raise CliError(f"Which run is the {LATEST} is known to a deployment alone: name the run by its id.")

    def so_far(outcome: RollbackOutcome) -> None:
        if not as_json:
            say(f"{_done(outcome)} so far")

    with world_of(catalog_of_project(), secret, folder, erasures) as world:
        return undo(world, RollbackTask(run_id=run_id, out_of_order=out_of_order, brief=True), so_far)


def _done(outcome: RollbackOutcome) -> str:
    done = outcome.undone
    return f"{done.updated:,} rows put back, {done.deleted:,} deleted, {done.inserted:,} brought back"


def _show(outcome: RollbackOutcome) -> None:
    say(f"Run {outcome.run_id} is undone by {outcome.rollback_id}: {_done(outcome)}.")
    for reason, count in outcome.undone.conflicts.items():
        say(f"Left alone, {REASONS.get(reason, reason)}: {count:,}.")
    if outcome.failed:
        say(f"Not undone: {', '.join(outcome.failed)}. Why: hybrid-sync report {outcome.rollback_id}")
    if outcome.undone.conflicts:
        say(f"Their keys: hybrid-sync report {outcome.rollback_id}")
    if outcome.held:
        say(f"Held: {', '.join(outcome.held)}. When the cause is settled: hybrid-sync release {' '.join(outcome.held)}")


commands: list[click.Command] = [rollback]

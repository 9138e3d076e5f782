"""`hybrid-sync run --here`: the same run in this process, for the day when AWS is away."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from hybrid_sync.contracts import OnFailure, Profile
from hybrid_sync.report.render import to_json
from hybrid_sync_cli import ending, screen
from hybrid_sync_cli.commands.runs import request_of
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import catalog_of_project, profile_for
from hybrid_sync_cli.exits import exit_of
from hybrid_sync_cli.here.options import of_this_machine, world_of


@click.command()
@click.option("--here", is_flag=True, help="Carry it out in this process; hybrid-sync sync asks a deployment.")
@of_this_machine
@click.option(
    "--override-lease", metavar="WHY", default="",
    help="Ask no deployment for its slots: why that may be. The target's audit trail keeps it.",
)  # fmt: skip
@click.option("--profile", type=click.Choice([p.value for p in Profile]), help="As for sync.")
@click.option("--entity", "entities", multiple=True, metavar="NAME", help="Only this entity; may be repeated.")
@click.option("--ref", "refs", multiple=True, metavar="ENTITY:KEY", help="Only this legacy row; may be repeated.")
@click.option(
    "--allow-deletes", "allow_deletes", multiple=True, metavar="ENTITY",
    help="Let more of this entity's rows be deleted than its guard lets go; may be repeated.",
)  # fmt: skip
@click.option(
    "--on-failure", type=click.Choice([p.value for p in OnFailure]), default=OnFailure.keep.value, show_default=True,
    help="If the run fails: keep what it wrote, hold what it could not verify, or roll it back.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, and nothing else.")
def run(
    here: bool, secret: Path | None, folder: Path | None, erasures: Path | None, override_lease: str,
    profile: str | None, entities: tuple[str, ...], refs: tuple[str, ...], allow_deletes: tuple[str, ...],
    on_failure: str, as_json: bool,
) -> int:  # fmt: skip
    """Carry out a run without AWS, verified, reported and undone like any other; exit status as for sync.

    DSNs and the id secret come from --secret FILE, or from HYBRID_SYNC_LEGACY_DSN, HYBRID_SYNC_TARGET_DSN and
    HYBRID_SYNC_ID_SECRET, never from the command line.
    """
    if not here:
        raise CliError("Say --here to carry the run out on this machine; to ask a deployment, use hybrid-sync sync.")
    chosen = profile_for(profile, bool(entities or refs))
    request = request_of(chosen, entities, refs, allow_deletes=allow_deletes, on_failure=on_failure)
    run_id = f"{chosen}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    from hybrid_sync_cli.here.perform import perform  # the engine

    with world_of(catalog_of_project(), secret, folder, erasures) as world, _lease(run_id, override_lease):
        if not as_json:
            click.echo(f"run {run_id}")
        summary = perform(world, run_id, request, override_lease, _nothing if as_json else screen.say)
    if as_json:
        click.echo(to_json(summary), nl=False)
    else:
        ending.show(summary)
    return exit_of(summary.status)


@contextmanager
def _lease(run_id: str, override: str) -> Iterator[None]:
    if override:
        yield
        return
    from hybrid_sync_cli.here.lease import all_slots  # speaks to AWS

    with all_slots(run_id):
        yield


def _nothing(_: str) -> None:
    return None


commands: list[click.Command] = [run]

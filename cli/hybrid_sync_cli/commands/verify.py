"""Check both sides row by row: `verify`, at any time, and `verify --repair`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from hybrid_sync.contracts import Profile, RunRequest
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.words import n_of
from hybrid_sync.services.messages.records import Findings, FindingsAsked, last_position
from hybrid_sync_cli import screen, tables
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import outcome, run_named, start
from hybrid_sync_cli.exits import FAILED, although, exit_of
from hybrid_sync_cli.progress import follow

Rows = Sequence[dict[str, Any]]
_SHOWN = 40


@click.command()
@click.argument("entities", nargs=-1, metavar="[ENTITY]…")
@click.option(
    "--repair", is_flag=True, help="Undo native changes of mapped columns too; without it they are only named."
)
@click.option("--of", "run_id", metavar="RUN", help="Start nothing; show what this run has found.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
def verify(entities: tuple[str, ...], repair: bool, run_id: str | None, as_json: bool) -> int:
    """Compare every row of both sides; exit status 0 only if nothing differs any more, 3 if rows failed.

    What legacy changed unseen is healed at once.  What was changed natively is named by key and column.
    """
    if run_id is not None and (entities or repair):
        raise CliError("--of shows what a run has found: leave out the entities and --repair.")
    deployment = Deployment.chosen()
    ended = "succeeded"
    if run_id is None:
        run_id, ended = _run(deployment, entities, repair, as_json)
    else:
        run_id = run_named(deployment, run_id)
    found = _findings(deployment, run_id)
    summary = RunSummary.model_validate(found.summary)
    if as_json:
        result = {"run_id": run_id, "status": summary.status, "in_part": summary.scope, "entities": found.checked}
        click.echo(json.dumps({**result, "differences": found.differences, "failed": found.failed}, sort_keys=True))
    else:
        screen.say(tables.headline(summary))
        _show(found.checked)
        _show_failed(found.failed)
        _show_left(found.differences, found.failed)
    if why := although(summary.status, ended):
        click.echo(why, err=True)
    return FAILED if found.differences else exit_of(summary.status, ended)


def _run(deployment: Deployment, entities: tuple[str, ...], repair: bool, quiet: bool) -> tuple[str, str]:
    """Check now; the run's id, and how its execution ended."""
    request = RunRequest(profile=Profile.verify, trigger="cli", entities=entities, repair=repair)
    run_id = start(deployment, request, "verify").run_id
    if not quiet:
        click.echo(f"run {run_id}")
    run_id, ended = follow(deployment, run_id, quiet=quiet)
    outcome(deployment, run_id)
    return run_id, ended


def _findings(deployment: Deployment, run_id: str) -> Findings:
    """All of them, page by page."""
    found = page = deployment.ask("findings", FindingsAsked(run_id=run_id), Findings)
    while page.more:
        asked = FindingsAsked(
            run_id=run_id, differences_after=last_position(found.differences), failed_after=last_position(found.failed)
        )
        page = deployment.ask("findings", asked, Findings)
        found = found.model_copy(
            update={"differences": found.differences + page.differences, "failed": found.failed + page.failed}
        )
    return found


def _show(checked: Rows) -> None:
    """Entities with findings as a table; of the others in one line how many rows are equal."""
    found = ("in flight", "differing", "healed", "persist", "native", "silent", "fence missed", "gone")
    numbers = ("rows", *found)
    shown = [row for row in checked if any(row[name.replace(" ", "_")] for name in found)]
    if shown:
        rows = ((row["entity"], *(f"{row[name.replace(' ', '_')] or 0:,}" for name in numbers)) for row in shown)
        tables.console().print(tables.plain(("entity", *numbers), rows, right=numbers))
    if len(shown) < len(checked):
        equal = [row["rows"] or 0 for row in checked if row not in shown]
        screen.say(f"Equal on both sides: {n_of(sum(equal), 'row')} of {n_of(len(equal), 'entity', 'entities')}.")


def _show_failed(failed: Rows) -> None:
    """Rows that were not compared, because they are known to differ: an older version is in the target, or none."""
    if not failed:
        return
    has = "row is not as legacy has it" if len(failed) == 1 else "rows are not as legacy has them"
    click.echo(f"{len(failed):,} failed {has}:")
    for row in failed[:_SHOWN]:
        key = ",".join(map(str, row["key"]))
        place = "stale in the target" if row["present"] else "absent from the target"
        accepted = ", accepted" if row["status"] == "accepted" else ""
        click.echo(f"  {row['entity']} {row['source']}:{key}  {row['reason']}  {place}{accepted}")
    if len(failed) > _SHOWN:
        click.echo(f"  … {_SHOWN} of {len(failed):,}: all of them with --json.")


def _show_left(left: Rows, failed: Rows) -> None:
    if not left:
        click.echo("Nothing else differs." if failed else "Nothing differs.")
        return
    click.echo(f"{len(left):,} {'differs' if len(left) == 1 else 'differ'} still:")
    for row in left[:_SHOWN]:
        columns = ", ".join(row["columns"]) or row["kind"]
        key = ",".join(map(str, row["key"]))
        click.echo(f"  {row['entity']} {row['source']}:{key}  {columns}  changed by {row['origin']}")
    if len(left) > _SHOWN:
        click.echo(f"  … {_SHOWN} of {len(left):,}: all of them with --json.")
    if any(row["state"] == "confirmed" for row in left):
        click.echo("What was changed natively is undone by: hybrid-sync verify --repair")


commands: list[click.Command] = [verify]

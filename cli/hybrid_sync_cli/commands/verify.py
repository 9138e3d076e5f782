"""Check both sides row by row: `verify`, at any time, and `verify --repair`."""

from __future__ import annotations

import json
from typing import Any, LiteralString

import click
import psycopg
from psycopg.rows import dict_row

from hybrid_sync.contracts import Profile, RunRequest
from hybrid_sync.errors import RunNotFound
from hybrid_sync_cli import tables
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import catalog_of_project, outcome, start, target
from hybrid_sync_cli.progress import follow
from hybrid_sync_cli.stack import Stack

_SHOWN = 40


@click.command()
@click.argument("entities", nargs=-1, metavar="[ENTITY]…")
@click.option(
    "--repair", is_flag=True, help="Undo native changes of mapped columns too; without it they are only named."
)
@click.option("--of", "run_id", metavar="RUN", help="Start nothing; show what this run has found.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
def verify(entities: tuple[str, ...], repair: bool, run_id: str | None, as_json: bool) -> int:
    """Compare every row of both sides; exit status 0 only if nothing differs any more.

    What legacy changed unseen is healed at once.  What was changed natively is named by key and column.
    """
    if run_id is not None and (entities or repair):
        raise CliError("--of shows what a run has found: leave out the entities and --repair.")
    stack = Stack.load()
    succeeded = True
    if run_id is None:
        run_id, succeeded = _run(stack, entities, repair, as_json)
    with target(stack) as connection:
        checked, left = _rows(connection, _CHECKED, run_id), _rows(connection, _LEFT, run_id)
    if not checked:
        raise RunNotFound(f"There is no run {run_id}.", "List the recent ones with: hybrid-sync status.")
    if as_json:
        click.echo(json.dumps({"run_id": run_id, "entities": checked, "differences": left}, sort_keys=True))
    else:
        _show(checked, left)
    return 0 if succeeded and not left else 1


def _run(stack: Stack, entities: tuple[str, ...], repair: bool, quiet: bool) -> tuple[str, bool]:
    """Check now; the run's id, and whether it kept its promises."""
    catalog = catalog_of_project()
    for name in entities:
        catalog[name]
    execution = start(stack, RunRequest(profile=Profile.verify, trigger="cli", entities=entities, repair=repair))
    if not quiet:
        click.echo(f"run {execution.run_id}")
    ended = follow(stack, execution, catalog, quiet=quiet)
    summary = outcome(stack, execution, catalog)
    return execution.run_id, ended.succeeded and summary.status == "succeeded"


def _rows(connection: psycopg.Connection[Any], query: LiteralString, run_id: str) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, {"run": run_id}).fetchall()


def _show(checked: list[dict[str, Any]], left: list[dict[str, Any]]) -> None:
    numbers = ("rows", "in flight", "differing", "healed", "persist", "native", "silent", "fence missed", "gone")
    tables.console().print(
        tables.plain(
            ("entity", *numbers),
            ((row["entity"], *(f"{row[name.replace(' ', '_')] or 0:,}" for name in numbers)) for row in checked),
            right=numbers,
        )
    )
    if not left:
        click.echo("Nothing differs.")
        return
    click.echo(f"{len(left):,} differ still:")
    for row in left[:_SHOWN]:
        columns = ", ".join(row["columns"]) or row["kind"]
        key = ",".join(map(str, row["key"]))
        click.echo(f"  {row['entity']} {row['source']}:{key}  {columns}  changed by {row['origin']}")
    if len(left) > _SHOWN:
        click.echo(f"  … and {len(left) - _SHOWN:,} more: all of them with --json.")
    if any(row["state"] == "confirmed" for row in left):
        click.echo("What was changed natively is undone by: hybrid-sync verify --repair")


_CHECKED: LiteralString = """
select entity, (reconcile->>'rows_checked')::bigint as rows, (reconcile->>'in_flight')::bigint as in_flight,
       (reconcile->>'differing')::bigint as differing, (reconcile->>'healed')::bigint as healed,
       (reconcile->>'persisted')::bigint as persist, (reconcile->>'drift')::bigint as native,
       (reconcile->>'silent')::bigint as silent, (reconcile->>'fence_missed')::bigint as fence_missed,
       (reconcile->>'gone')::bigint as gone, (reconcile->>'wrong_ids')::bigint as wrong_ids
from hybrid_sync.run_entity where run_id = %(run)s order by wave, entity
"""
_LEFT: LiteralString = """
select entity, source, key, kind, columns, origin, state from hybrid_sync.difference
where run_id = %(run)s and state in ('confirmed', 'persists') order by entity, source, key
"""

commands: list[click.Command] = [verify]

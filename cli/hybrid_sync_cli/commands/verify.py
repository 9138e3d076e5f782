"""Check both sides row by row: `verify`, at any time, and `verify --repair`."""

from __future__ import annotations

import json
from typing import Any, LiteralString

import click
import psycopg
from psycopg.rows import dict_row

from hybrid_sync.contracts import Profile, RunRequest
from hybrid_sync.report.summary import recall
from hybrid_sync_cli import tables
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import Standing, catalog_of_project, outcome, start, target
from hybrid_sync_cli.exits import FAILED, exit_of
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
    """Compare every row of both sides; exit status 0 only if nothing differs any more, 3 if rows failed.

    What legacy changed unseen is healed at once.  What was changed natively is named by key and column.
    """
    if run_id is not None and (entities or repair):
        raise CliError("--of shows what a run has found: leave out the entities and --repair.")
    stack = Stack.load()
    ended = None
    if run_id is None:
        run_id, ended = _run(stack, entities, repair, as_json)
    with target(stack) as connection:
        summary = recall(connection, run_id, catalog_of_project())
        checked, left, failed = (_rows(connection, query, run_id) for query in (_CHECKED, _LEFT, _FAILED))
    if as_json:
        result = {"run_id": run_id, "status": summary.status, "in_part": summary.scope, "entities": checked}
        click.echo(json.dumps({**result, "differences": left, "failed": failed}, default=str, sort_keys=True))
    else:
        click.echo(tables.headline(summary))
        _show(checked)
        _show_failed(failed)
        _show_left(left, failed)
    return FAILED if left else exit_of(summary.status, ended)


def _run(stack: Stack, entities: tuple[str, ...], repair: bool, quiet: bool) -> tuple[str, Standing]:
    """Check now; the run's id, and how its execution ended."""
    catalog = catalog_of_project()
    for name in entities:
        catalog[name]
    execution = start(stack, RunRequest(profile=Profile.verify, trigger="cli", entities=entities, repair=repair))
    if not quiet:
        click.echo(f"run {execution.run_id}")
    ended = follow(stack, execution, catalog, quiet=quiet)
    outcome(stack, execution, catalog)
    return execution.run_id, ended


def _rows(connection: psycopg.Connection[Any], query: LiteralString, run_id: str) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, {"run": run_id}).fetchall()


def _show(checked: list[dict[str, Any]]) -> None:
    numbers = ("rows", "in flight", "differing", "healed", "persist", "native", "silent", "fence missed", "gone")
    tables.console().print(
        tables.plain(
            ("entity", *numbers),
            ((row["entity"], *(f"{row[name.replace(' ', '_')] or 0:,}" for name in numbers)) for row in checked),
            right=numbers,
        )
    )


def _show_failed(failed: list[dict[str, Any]]) -> None:
    """Rows that were not compared, because they are known to differ: an older version is in the target, or none."""
    if not failed:
        return
    click.echo(f"{len(failed):,} failed {'row is' if len(failed) == 1 else 'rows are'} not as legacy has them:")
    for row in failed[:_SHOWN]:
        key = ",".join(map(str, row["key"]))
        place = "stale in the target" if row["present"] else "absent from the target"
        accepted = ", accepted" if row["status"] == "accepted" else ""
        click.echo(f"  {row['entity']} {row['source']}:{key}  {row['reason']}  {place}{accepted}")
    if len(failed) > _SHOWN:
        click.echo(f"  … {_SHOWN} of {len(failed):,}: all of them with --json.")


def _show_left(left: list[dict[str, Any]], failed: list[dict[str, Any]]) -> None:
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
_FAILED: LiteralString = """
select f.entity, f.source, f.key, f.reason, f.column_name, f.constraint_name, f.present, f.status
from hybrid_sync.failed_record f join hybrid_sync.run_entity e on e.entity = f.entity and e.run_id = %(run)s
where f.status <> 'resolved' order by f.entity, f.source, f.key
"""

commands: list[click.Command] = [verify]

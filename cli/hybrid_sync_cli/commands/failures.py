"""`hybrid-sync failures`: the rows that could not be written, by legacy key, with what to do about them."""

from __future__ import annotations

import json
from typing import Any

import click
from psycopg.rows import dict_row

from hybrid_sync.failures.reasons import reason_of
from hybrid_sync.report.summary import summarise
from hybrid_sync_cli import tables
from hybrid_sync_cli.execution import catalog_of_project, target
from hybrid_sync_cli.stack import Stack


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option("--entity", metavar="NAME", help="Only this entity's.")
@click.option("--reason", metavar="CODE", help="Only those with this reason.")
@click.option("--all", "everything", is_flag=True, help="Resolved ones too.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def failures(
    run_id: str | None, entity: str | None, reason: str | None, everything: bool, limit: int, as_json: bool
) -> None:
    """Failed records by key, with reason and state; with RUN those which that run saw last."""
    stack = Stack.load()
    if entity is not None:
        catalog_of_project()[entity]
    chosen = {"run": run_id, "entity": entity, "reason": reason, "all": everything, "limit": limit}
    with target(stack) as connection, connection.cursor(row_factory=dict_row) as cursor:
        if run_id is not None:
            summarise(connection, run_id, catalog_of_project())  # refuses a run that does not exist
        found = cursor.execute(_FAILED, chosen).fetchall()
    if as_json:
        click.echo(json.dumps(found, default=str, sort_keys=True))
    elif not found:
        click.echo("No failed records.")
    else:
        _show_failed(found, limit)


def _show_failed(found: list[dict[str, Any]], limit: int) -> None:
    out = tables.console()
    out.print(
        tables.plain(
            ("entity", "source", "key", "reason", "where", "state", "retries", "last run"),
            (
                (
                    r["entity"],
                    r["source"],
                    ",".join(map(str, r["key"])),
                    r["reason"],
                    r["constraint_name"] or r["column_name"] or r["sqlstate"] or "",
                    f"{r['status']}, stale in target" if r["present"] else r["status"],
                    f"{r['attempts']}",
                    r["last_run"],
                )
                for r in found
            ),
            right=("retries",),
        )
    )
    for code in dict.fromkeys(r["reason"] for r in found):
        out.print(f"{code}: {reason_of(code).remedy}", markup=False)
    if len(found) == limit:
        out.print(f"Only the first {limit:,} are shown: see more with --limit.", markup=False)


_FAILED = """
select entity, source, key, reason, sqlstate, constraint_name, column_name, waits_for, present, status,
       attempts, first_run, last_run, first_seen, last_seen
from hybrid_sync.failed_record
where (%(run)s::text is null or last_run = %(run)s::text)
  and (%(entity)s::text is null or entity = %(entity)s::text)
  and (%(reason)s::text is null or reason = %(reason)s::text)
  and (%(all)s::bool or status <> 'resolved')
order by entity, source, key
limit %(limit)s
"""

commands: list[click.Command] = [failures]

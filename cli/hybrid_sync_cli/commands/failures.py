"""`hybrid-sync failures`: the rows that could not be written, by legacy key, with what to do about them."""

from __future__ import annotations

import json
from typing import Any

import click
import psycopg
from psycopg.rows import dict_row

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.contracts import Key
from hybrid_sync.failures.accept import accept as accept_records
from hybrid_sync.failures.reasons import REASONS, reason_of
from hybrid_sync.report.summary import summarise
from hybrid_sync_cli import tables
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import catalog_of_project, reference, target, who
from hybrid_sync_cli.stack import Stack

SHOWN = 50
"""Records on the terminal by default; JSON has them all."""
NO_KEY = "none"


class Failures(click.Group):
    """`failures accept …`; everything else lists, so that `failures` and `failures RUN` are what they look like."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=Failures)
def failures() -> None:
    """Failed records: `failures [RUN]` lists them (`failures list --help`), `failures accept` lives with some."""


@failures.command("list")
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option("--entity", metavar="NAME", help="Only this entity's.")
@click.option("--reason", metavar="CODE", help="Only those with this reason.")
@click.option("--all", "everything", is_flag=True, help="Resolved ones too.")
@click.option("--limit", type=click.IntRange(1), help=f"At most so many; {SHOWN} on the terminal and all in JSON.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def list_(
    run_id: str | None, entity: str | None, reason: str | None, everything: bool, limit: int | None, as_json: bool
) -> None:
    """Failed records by key, with reason and state; with RUN those which that run saw last."""
    stack = Stack.load()
    catalog = catalog_of_project()
    if entity is not None:
        catalog[entity]
    most = limit if limit is not None or as_json else SHOWN
    chosen = {"run": run_id, "entity": entity, "reason": reason, "all": everything, "limit": most}
    with target(stack) as connection, connection.cursor(row_factory=dict_row) as cursor:
        if run_id is not None:
            summarise(connection, run_id, catalog)  # refuses a run that does not exist
        found = cursor.execute(_FAILED, chosen).fetchall()
        if reason is not None and not found:
            _require_reason(connection, catalog, reason)
    every = found[0]["every"] if found else 0
    for row in found:
        del row["every"]
    if as_json:
        click.echo(json.dumps(found, default=str, sort_keys=True))
    elif not found:
        click.echo("No failed records.")
    else:
        _show_failed(found, every)


def _require_reason(connection: psycopg.Connection[Any], catalog: Catalog, reason: str) -> None:
    """A misspelt reason must not look like good news."""
    sources = [source for entity in catalog.entities.values() for source in entity.sources.values()]
    rules = {rule.fail for source in sources for rule in source.rules if rule.fail}
    present = {row[0] for row in connection.execute("select distinct reason from hybrid_sync.failed_record").fetchall()}
    if reason not in REASONS.keys() | rules | present:
        here = ", ".join(sorted(present)) or "none"
        raise CliError(
            f"There is no reason {reason}: the records have {here}; "
            f"there are also {', '.join(sorted((REASONS.keys() | rules) - present))}."
        )


@failures.command()
@click.argument("entity", metavar="ENTITY")
@click.argument("keys", metavar="KEY…", nargs=-1, required=True)
@click.option("--why", required=True, help="The reason, for whoever reads the report next year.")
@click.option("--by", help="Who decided; default: you.")
def accept(entity: str, keys: tuple[str, ...], why: str, by: str | None) -> None:
    """Live with the failed records of ENTITY under these legacy KEYs: 17229, or 3,41 for a composite one.

    ENTITY is entity/source where there are several sources; the KEY `none` is that of the rows without a complete key.
    Accepted records stay in every report and count against no tolerance, until the row changes or fails otherwise.
    """
    if not why.strip():
        raise CliError("--why is empty: say why these records may stay as they are.")
    stack = Stack.load()
    name, source, wanted = _keys(entity, keys)
    with target(stack) as connection, connection.transaction():
        accept_records(connection, name, source, wanted, by=by or who() or "unknown", why=why)
    click.echo(f"{len(wanted):,} accepted: in every report, and counted against no tolerance until the row changes.")


def _keys(entity: str, keys: tuple[str, ...]) -> tuple[str, str, list[Key]]:
    """The entity, its source and the keys that were meant; CliError for what is none."""
    catalog = catalog_of_project()
    name, _, source = entity.partition("/")
    sources = catalog[name].sources
    if not source and len(sources) > 1:
        raise CliError(f"{name} has several sources: write {name}/source, with one of {', '.join(sources)}.")
    if source and source not in sources:
        raise CliError(f"{name} has no source {source}: choose from {', '.join(sources)}.")
    source = source or next(iter(sources))
    width = len(sources[source].key)
    wanted = [() if key == NO_KEY else reference(f"{entity}:{key}").key for key in keys]
    for text, key in zip(keys, wanted, strict=True):
        if key and len(key) != width:
            raise CliError(f"{text} is no key of {name}: it has {width} part(s), as in {','.join('7' * width)}.")
    return name, source, wanted


def _show_failed(found: list[dict[str, Any]], every: int) -> None:
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
                    _state(r),
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
    if len(found) < every:
        out.print(f"{len(found):,} of {every:,} are shown: see more with --limit, or all with --json.", markup=False)


def _state(record: dict[str, Any]) -> str:
    """`open`, `escalated, stale in target`, `accepted by ann: …`."""
    accepted = f" by {record['ended_by']}: {record['accepted_why']}" if record["status"] == "accepted" else ""
    return f"{record['status']}{accepted}{', stale in target' if record['present'] else ''}"


_FAILED = """
select entity, source, key, rows, reason, sqlstate, constraint_name, column_name, waits_for, present, status,
       attempts, first_run, last_run, first_seen, last_seen, ended_by, accepted_why, count(*) over () as every
from hybrid_sync.failed_record
where (%(run)s::text is null or last_run = %(run)s::text)
  and (%(entity)s::text is null or entity = %(entity)s::text)
  and (%(reason)s::text is null or reason = %(reason)s::text)
  and (%(all)s::bool or status <> 'resolved')
order by entity, source, key
limit %(limit)s::bigint
"""

commands: list[click.Command] = [failures]

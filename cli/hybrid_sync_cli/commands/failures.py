"""`hybrid-sync failures`: the rows that could not be written, by legacy key, with what to do about them."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from typing import Any

import click

from hybrid_sync.report.words import n_of, place
from hybrid_sync.services.messages import PAGE_ROWS
from hybrid_sync.services.messages.answers import Accepted
from hybrid_sync.services.messages.records import AcceptAsked, FailuresAsked, RedriveAsked, Redriven, last_position
from hybrid_sync.services.messages.records import Failures as Found
from hybrid_sync_cli import screen, tables
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import reference, run_named

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
    """Failed records: `failures [RUN]` lists them (`failures list --help`), `failures accept` lives with some,
    `failures redrive` has them tried again."""


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
    most = limit if limit is not None or as_json else SHOWN
    deployment = Deployment.chosen()
    run_id = run_id and run_named(deployment, run_id)
    asked = FailuresAsked(run_id=run_id, entity=entity, reason=reason, everything=everything)
    found = _all(deployment, asked, most)
    if as_json:
        click.echo(json.dumps(found.records, sort_keys=True))
    elif not found.records:
        click.echo("No failed records.")
    else:
        _show_failed(found)


def _all(deployment: Deployment, asked: FailuresAsked, most: int | None) -> Found:
    """As many as are wanted (None: every one), page by page."""
    found, left = None, most
    while True:
        limit = PAGE_ROWS if left is None else min(PAGE_ROWS, left)
        page = deployment.ask("failures", asked.model_copy(update={"limit": limit}), Found)
        records = page.records if found is None else found.records + page.records
        found = page.model_copy(update={"records": records, "every": found.every if found else page.every})
        left = None if left is None else left - len(page.records)
        if len(page.records) < limit or left == 0:
            return found
        asked = asked.model_copy(update={"after": last_position(records)})


@failures.command()
@click.argument("entity", metavar="ENTITY")
@click.argument("keys", metavar="KEY…", nargs=-1, required=True)
@click.option("--why", required=True, help="The reason, for whoever reads the report next year.")
@click.option("--by", help="Who decided; default: whom AWS knows you as.")
def accept(entity: str, keys: tuple[str, ...], why: str, by: str | None) -> None:
    """Live with the failed records of ENTITY under these legacy KEYs: 17229, or 3,41 for a composite one.

    ENTITY is entity/source where there are several sources; the KEY `none` is that of the rows without a complete key.
    Accepted records stay in every report and count against no tolerance, until the row changes or fails otherwise.
    """
    if not why.strip():
        raise CliError("--why is empty: say why these records may stay as they are.")
    name, _, source = entity.partition("/")
    wanted = tuple(() if key == NO_KEY else reference(f"{entity}:{key}").key for key in keys)
    asked = AcceptAsked(entity=name, source=source or None, keys=wanted, by=by, why=why)
    accepted = Deployment.chosen().ask("accept", asked, Accepted).accepted
    click.echo(f"{accepted:,} accepted: in every report, and counted against no tolerance until the row changes.")


@failures.command()
@click.argument("entity", metavar="[ENTITY]", required=False)
@click.argument("keys", metavar="[KEY…]", nargs=-1)
@click.option("--reason", metavar="CODE", help="Only those with this reason.")
@click.option("--all", "everything", is_flag=True, help="All that are open or escalated.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def redrive(entity: str | None, keys: tuple[str, ...], reason: str | None, everything: bool, as_json: bool) -> None:
    """Have failed records tried again now: of ENTITY, under these legacy KEYs, with a reason, or all.

    The queue retries them two messages at a time, beside the runs. Accepted records are left alone; a record that fails
    again three times is escalated again.
    """
    name, _, source = (entity or "").partition("/")
    wanted = tuple(reference(f"{entity}:{key}").key for key in keys)
    asked = RedriveAsked(
        redrive_id=f"redrive-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}", entity=name or None,
        source=source or None, keys=wanted, reason=reason, all=everything,
    )  # fmt: skip
    deployment = Deployment.chosen()
    done = total = deployment.ask("redrive", asked, Redriven, patient=True)
    asked = asked.model_copy(update={"again": True})
    while done.more:
        done = deployment.ask("redrive", asked, Redriven, patient=True)
        sums = {"records": total.records + done.records, "messages": total.messages + done.messages}
        total = done.model_copy(update=sums)
    if wanted and not total.records and not total.left:
        raise CliError(
            f"Nothing is tried again: {entity} has no failed record of {', '.join(keys)} that waits."
            f" List them with: hybrid-sync failures --entity {name}"
        )
    if as_json:
        click.echo(total.model_dump_json(exclude={"more"}))
        return
    what, one = n_of(total.records, "failed record"), total.records == 1
    if total.paused:
        wait = "waits" if one else "wait"
        click.echo(f"{what} {wait} in the queue: starts are paused {total.paused}. hybrid-sync resume lets it go on.")
    else:
        click.echo(f"{what} {'is' if one else 'are'} tried again, in {n_of(total.messages, 'message')}.")
    if total.left:
        click.echo(f"{total.left:,} are left: their entity is held, or they have no key.")


def _show_failed(found: Found) -> None:
    tables.console().print(
        tables.plain(
            ("entity", "source", "key", "reason", "where", "state", "retries", "last run"),
            (
                (
                    r["entity"],
                    r["source"],
                    ",".join(map(str, r["key"])),
                    r["reason"],
                    place(r["constraint_name"], r["column_name"], r["sqlstate"]),
                    _state(r),
                    f"{r['attempts']}",
                    r["last_run"],
                )
                for r in found.records
            ),
            right=("retries",),
            spare=("last run", "source"),
        )
    )
    if len(found.records) < found.every:
        screen.say(f"{len(found.records):,} of {found.every:,} are shown: see more with --limit, or all with --json.")
    for code, remedy in found.remedies.items():
        screen.say(f"{code}: {remedy}")


def _state(record: dict[str, Any]) -> str:
    """`open`, `escalated, stale in target`, `accepted by ann: …`."""
    accepted = f" by {record['ended_by']}: {record['accepted_why']}" if record["status"] == "accepted" else ""
    return f"{record['status']}{accepted}{', stale in target' if record['present'] else ''}"


commands: list[click.Command] = [failures]

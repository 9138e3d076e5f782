"""Start runs and look at them: sync, status."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
import psycopg
from pydantic import ValidationError

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.contracts import OnFailure, Profile, RunPriority, RunRequest
from hybrid_sync.errors import RunNotFound
from hybrid_sync.http.requests import SyncRequest
from hybrid_sync.report.recent import count_runs, recent_runs
from hybrid_sync.report.render import percent, to_json
from hybrid_sync.report.standing import Sum
from hybrid_sync.report.summary import summarise
from hybrid_sync.report.words import NOTHING, status_word
from hybrid_sync_cli import tables
from hybrid_sync_cli.beyond import UnrecordedRun, find, settle, unrecorded
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import (
    Execution,
    TargetAway,
    catalog_of_project,
    outcome,
    profile_for,
    reference,
    start,
    target,
)
from hybrid_sync_cli.exits import exit_of
from hybrid_sync_cli.progress import follow
from hybrid_sync_cli.stack import Stack


@click.command()
@click.option(
    "--profile",
    type=click.Choice([p.value for p in Profile]),
    help="Default: weekly, or on_demand when entities or rows are named.",
)
@click.option("--entity", "entities", multiple=True, metavar="NAME", help="Only this entity; may be repeated.")
@click.option(
    "--ref",
    "refs",
    multiple=True,
    metavar="ENTITY:KEY",
    help="Only this legacy row, as payments:17229; may be repeated.",
)
@click.option("--priority", type=click.Choice([p.value for p in RunPriority]), default=RunPriority.normal.value)
@click.option("--batch-size", type=int, metavar="N", help="Changed rows in a batch; default: as the profile says.")
@click.option(
    "--allow-deletes",
    "allow_deletes",
    multiple=True,
    metavar="ENTITY",
    help="Let more of this entity's rows be deleted than its guard lets go; may be repeated.",
)
@click.option(
    "--on-failure",
    type=click.Choice([p.value for p in OnFailure]),
    default=OnFailure.keep.value,
    show_default=True,
    help="If the run fails: keep what it wrote, hold what it could not verify, or roll it back.",
)
@click.option("--follow/--no-follow", "following", default=True, help="Watch the run until it ends (default).")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, and nothing else.")
def sync(
    profile: str | None,
    entities: tuple[str, ...],
    refs: tuple[str, ...],
    priority: str,
    batch_size: int | None,
    allow_deletes: tuple[str, ...],
    on_failure: str,
    following: bool,
    as_json: bool,
) -> int:
    """Start a run on the stack's state machine; exit status 0 if it succeeded, 3 if it is degraded, else 1."""
    stack = Stack.load()
    catalog = catalog_of_project()
    chosen = profile_for(profile, bool(entities or refs))
    request = _request(catalog, chosen, entities, refs, priority, batch_size, allow_deletes, on_failure)
    execution = start(stack, request)
    if not following:
        click.echo(json.dumps({"run_id": execution.run_id}) if as_json else execution.run_id)
        return 0
    return _watch(stack, execution, catalog, as_json)


def _request(
    catalog: Catalog,
    profile: Profile,
    entities: tuple[str, ...],
    refs: tuple[str, ...],
    priority: str,
    batch_size: int | None,
    allow_deletes: tuple[str, ...],
    on_failure: str,
) -> RunRequest:
    """The request that was meant; CliError or RequestRejected before anything is started."""
    for name in (*entities, *allow_deletes):
        catalog[name]
    if refs and profile is not Profile.on_demand:
        raise CliError(f"--ref names single rows, which no {profile} run reads: leave out --profile.")
    try:
        wanted = RunRequest(
            profile=profile, trigger="cli", priority=RunPriority(priority), entities=entities,
            refs=tuple(map(reference, refs)), batch_size=batch_size, allow_deletes=allow_deletes,
            on_failure=OnFailure(on_failure),
        )  # fmt: skip
    except ValidationError as error:
        wrong = error.errors()[0]
        option = {"batch_size": "--batch-size", "refs": "--ref"}.get(str(wrong["loc"][0]), str(wrong["loc"][0]))
        raise CliError(f"{option}: {wrong['msg'][0].lower()}{wrong['msg'][1:]}.") from None
    if wanted.refs:
        # The trigger's own rules for rows: known source, a key of the right number of parts.
        SyncRequest(entities=wanted.entities, refs=wanted.refs).to_run(catalog, requested_by="cli")
    return wanted


def _watch(stack: Stack, execution: Execution, catalog: Catalog, as_json: bool) -> int:
    if not as_json:
        click.echo(f"run {execution.run_id}")
    try:
        ended = follow(stack, execution, catalog, quiet=as_json)
    except KeyboardInterrupt:
        click.echo(f"The run goes on; look at it with: hybrid-sync status {execution.run_id}", err=True)
        raise
    summary = outcome(stack, execution, catalog)
    if as_json:
        click.echo(to_json(summary), nl=False)
    else:
        tables.report(summary, tables.console())
    return exit_of(summary.status, ended)


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many recent runs.")
@click.option("--retries", is_flag=True, help="The small runs of the failure queue too.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def status(run_id: str | None, limit: int, retries: bool, as_json: bool) -> None:
    """Recent runs, or how far one run is."""
    stack = Stack.load()
    try:
        with target(stack) as connection:
            ended = settle(stack, connection)
            if run_id is not None:
                _show_one(stack, connection, run_id, as_json)
                return
            recent = recent_runs(connection, limit, retries=retries)
            recent = newest([*recent, *map(row_of, unrecorded(stack, limit, _known(connection)))], limit)
            every = count_runs(connection, retries=retries)
    except TargetAway as away:
        _without_target(stack, run_id, limit, as_json, away)
        return
    for lost, word in ended.items():
        click.echo(f"Run {lost} is {word}: its execution has ended without a report.", err=True)
    if as_json:
        click.echo(json.dumps(recent, default=str, sort_keys=True))
    elif not recent:
        click.echo("No run yet; start one with: hybrid-sync sync --profile weekly")
    else:
        _show_recent(recent)
        if len(recent) < every:
            click.echo(f"{len(recent):,} of {every:,} runs are shown: see more with --limit.")


def _show_one(stack: Stack, connection: psycopg.Connection[Any], run_id: str, as_json: bool) -> None:
    try:
        summary = summarise(connection, run_id, catalog_of_project())
    except RunNotFound:
        if (run := find(stack, run_id)) is None:
            raise
        _show_unrecorded(run, as_json)
        return
    if as_json:
        click.echo(to_json(summary), nl=False)
    else:
        tables.report(summary, tables.console())


def _show_unrecorded(run: UnrecordedRun, as_json: bool) -> None:
    """A run of which the target knows nothing."""
    if as_json:
        click.echo(json.dumps(run.report or row_of(run), default=str, sort_keys=True))
    elif (summary := run.summary) is not None:
        tables.report(summary, tables.console())
    else:
        click.echo(f"Run {run.run_id}: {run.status}; the target has no record of it. {run.why}".rstrip())


def _without_target(stack: Stack, run_id: str | None, limit: int, as_json: bool, away: CliError) -> None:
    """What is known while the target is away; CliError where that is nothing."""
    found = unrecorded(stack, limit, lambda _: set()) if run_id is None else _one(find(stack, run_id))
    if not found:
        raise away
    click.echo(f"{away} What follows is from the state machine and the reports in S3.", err=True)
    if run_id is not None:
        _show_unrecorded(found[0], as_json)
    elif as_json:
        click.echo(json.dumps(newest([row_of(run) for run in found], limit), default=str, sort_keys=True))
    else:
        _show_recent(newest([row_of(run) for run in found], limit))


def _show_recent(recent: list[dict[str, Any]]) -> None:
    numbers = ("seconds", "read", "inserted", "updated", "failed tries", "current / due", "success")
    tables.console().print(
        tables.plain(
            ("run", "part", "status", "started", *numbers, "adds up"),
            (
                (
                    r["run_id"],
                    r["part"] or "everything",
                    status_word(r["status"]),
                    f"{r['started_at']:%Y-%m-%d %H:%M:%S}",
                    f"{r['seconds']:,.1f}",
                    *(_number(r[name]) for name in ("read", "inserted", "updated", "failed")),
                    NOTHING if r["due"] is None else f"{r['current']:,} / {r['due']:,}",
                    percent(r["current"] / r["due"] if r["due"] else None),
                    r["adds_up"],
                )
                for r in recent
            ),
            right=numbers,
        )
    )
    for r in recent:
        if r.get("why"):
            click.echo(f"{r['run_id']} never began: {r['why']}")


def _known(connection: psycopg.Connection[Any]) -> Callable[[list[str]], set[str]]:
    """Which of some runs the target has a record of."""

    def known(run_ids: list[str]) -> set[str]:
        rows = connection.execute("select run_id from hybrid_sync.run where run_id = any(%s)", (run_ids,)).fetchall()
        return {row[0] for row in rows}

    return known


def _one(run: UnrecordedRun | None) -> list[UnrecordedRun]:
    return [] if run is None else [run]


def _number(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"


def row_of(run: UnrecordedRun) -> dict[str, Any]:
    """As a row of the list; what nobody knows is None."""
    numbers = ("read", "inserted", "updated", "failed", "current", "due", "stale", "absent")
    seconds = ((run.finished_at or datetime.now(UTC)) - run.started_at).total_seconds()
    return {
        "run_id": run.run_id, "status": run.status, "started_at": run.started_at, "finished_at": run.finished_at,
        "seconds": seconds, "adds_up": Sum.unknown, "why": run.why, "part": NOTHING, **dict.fromkeys(numbers),
    }  # fmt: skip


def newest(rows: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row["started_at"], reverse=True)[:limit]


commands: list[click.Command] = [sync, status]

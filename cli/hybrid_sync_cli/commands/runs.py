"""Start runs and look at them: sync, status."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
from pydantic import ValidationError

from hybrid_sync.contracts import OnFailure, Profile, RunPriority, RunRequest
from hybrid_sync.report.model import to_json
from hybrid_sync.report.words import NOTHING, percent, status_word
from hybrid_sync.services.messages.runs import RunAnswer, Status, StatusAsked
from hybrid_sync_cli import ending, screen, tables
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import outcome, profile_for, reference, report_of, run_named, start, summary_of, why_not
from hybrid_sync_cli.exits import although, exit_of
from hybrid_sync_cli.moments import MOMENT, utc
from hybrid_sync_cli.progress import follow


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
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Only this row of the one --entity; may be repeated.")
@click.option("--since", type=MOMENT, help="Only rows changed since then, UTC; moves no fence.")
@click.option("--until", type=MOMENT, help="Only rows changed before then, UTC; moves no fence.")
@click.option("--dry-run", is_flag=True, help="Check the request and say whether it would have to wait; start nothing.")
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
    keys: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    dry_run: bool,
    following: bool,
    as_json: bool,
) -> int:
    """Start a run of the deployment; exit status 0 if it succeeded, 3 if it is degraded, else 1."""
    deployment = Deployment.chosen()
    chosen = profile_for(profile, bool(entities or refs or since or until))
    rows = (*refs, *(f"{only_one(entities, '--key')}:{key}" for key in keys))
    request = request_of(
        chosen, () if keys else entities, rows, allow_deletes=allow_deletes, on_failure=on_failure, priority=priority,
        batch_size=batch_size, since=since, until=until,
    )  # fmt: skip
    started = start(deployment, request, dry_run=dry_run)
    run_id = started.run_id
    if dry_run:
        click.echo(started.model_dump_json() if as_json else f"It {started.status} now. {started.why}".rstrip())
        return 0
    if not following:
        click.echo(json.dumps({"run_id": run_id}) if as_json else run_id)
        return 0
    return _watch(deployment, run_id, as_json)


def request_of(
    profile: Profile, entities: tuple[str, ...], refs: tuple[str, ...], *, allow_deletes: tuple[str, ...],
    on_failure: str, priority: str = RunPriority.normal, batch_size: int | None = None, since: datetime | None = None,
    until: datetime | None = None,
) -> RunRequest:  # fmt: skip
    """The request that was meant; CliError where it is none."""
    if refs and profile is not Profile.on_demand:
        raise CliError(f"--ref names single rows, which no {profile} run reads: leave out --profile.")
    try:
        return RunRequest(
            profile=profile, trigger="cli", priority=RunPriority(priority), entities=entities,
            refs=tuple(map(reference, refs)), batch_size=batch_size, allow_deletes=allow_deletes,
            on_failure=OnFailure(on_failure), since=utc(since), until=utc(until),
        )  # fmt: skip
    except ValidationError as error:
        wrong = error.errors()[0]
        option = {"batch_size": "--batch-size", "refs": "--ref"}.get(str(wrong["loc"][0]), str(wrong["loc"][0]))
        raise CliError(f"{option}: {wrong['msg'][0].lower()}{wrong['msg'][1:]}.") from None


def only_one(entities: tuple[str, ...], option: str) -> str:
    """The entity that the option is about; CliError where it is not said, or several are."""
    if len(entities) != 1:
        raise CliError(f"{option} is about one entity: name it with --entity, once.")
    return entities[0]


def _watch(deployment: Deployment, run_id: str, as_json: bool) -> int:
    if not as_json:
        click.echo(f"run {run_id}")
    run_id, ended = follow(deployment, run_id, quiet=as_json)
    summary = outcome(deployment, run_id)
    if as_json:
        click.echo(to_json(summary), nl=False)
    else:
        ending.show(summary)
    if why := although(summary.status, ended):
        click.echo(why, err=True)
    return exit_of(summary.status, ended)


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many recent runs.")
@click.option("--retries", is_flag=True, help="The small runs of the failure queue too.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def status(run_id: str | None, limit: int, retries: bool, as_json: bool) -> None:
    """Recent runs, or how far one run is."""
    deployment = Deployment.chosen()
    if run_id is not None:
        _show_one(report_of(deployment, run_named(deployment, run_id), as_ended=False), as_json)
        return
    found = deployment.ask("status", StatusAsked(limit=limit, retries=retries), Status)
    _say_away(found.away)
    for lost, word in found.ended.items():
        click.echo(f"Run {lost} is {word}: its execution has ended without a report.", err=True)
    if as_json:
        click.echo(json.dumps(found.runs, sort_keys=True))
    elif not found.runs:
        click.echo("No run yet; start one with: hybrid-sync sync --profile weekly")
    else:
        _show_recent(found.runs)
        if len(found.runs) < found.every:
            click.echo(f"{len(found.runs):,} of {found.every:,} runs are shown: see more with --limit.")


def _show_one(found: RunAnswer, as_json: bool) -> None:
    _say_away(found.away)
    summary, run = summary_of(found), found.unrecorded
    if summary is not None:
        if as_json:
            click.echo(to_json(summary), nl=False)
        else:
            ending.show(summary)
            for waited in found.waits_for:
                screen.say(f"waits for {waited}", "  ")
    elif run is not None and as_json:
        known = run.report or run.model_dump(mode="json", exclude={"report"})
        click.echo(json.dumps(known, sort_keys=True))
    elif run is not None:
        screen.say(f"Run {run.run_id}: {run.status}; the target has no record of it. {why_not(run)}".rstrip())


def _say_away(away: str) -> None:
    if away:
        click.echo(f"{away} What follows is from the state machine and the reports in S3.", err=True)


def _show_recent(recent: Sequence[dict[str, Any]]) -> None:
    numbers = ("seconds", "read", "inserted", "updated", "failed tries", "current / due", "success")
    tables.console().print(
        tables.plain(
            ("run", "part", "status", "started", *numbers, "adds up"),
            (
                (
                    r["run_id"],
                    r["part"] or "everything",
                    status_word(r["status"]),
                    f"{datetime.fromisoformat(r['started_at']):%Y-%m-%d %H:%M}",
                    f"{r['seconds']:,.1f}",
                    *(_number(r[name]) for name in ("read", "inserted", "updated", "failed")),
                    NOTHING if r["due"] is None else f"{r['current']:,} / {r['due']:,}",
                    percent(r["current"] / r["due"] if r["due"] else None),
                    r["adds_up"],
                )
                for r in recent
            ),
            right=numbers,
            spare=("part", "updated", "inserted", "read", "seconds", "failed tries", "current / due", "adds up"),
        )
    )
    for r in recent:
        for waited in r.get("waits_for", ()):
            screen.say(f"{r['run_id']} waits for {waited}")
        if r.get("why"):
            screen.say(f"{r['run_id']} never began: {r['why']}")


def _number(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"


commands: list[click.Command] = [sync, status]

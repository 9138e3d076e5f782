"""Start a run of a deployment, and say what became of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from hybrid_sync.contracts import Profile, Ref, RunRequest
from hybrid_sync.report.model import RunSummary
from hybrid_sync.services.messages.runs import (
    RunAnswer,
    RunAsked,
    StartAsked,
    Started,
    Status,
    StatusAsked,
    UnrecordedRun,
)
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import Stack, home

if TYPE_CHECKING:
    import psycopg

    from hybrid_sync.catalog.catalog import Catalog

LATEST = "latest"
"""Stands for a run's id."""


def catalog_of_project() -> Catalog:
    """The catalog in the checkout: what the stack was deployed with."""
    from hybrid_sync.catalog.load import load  # what few commands need

    return load(home.project_root() / "layers" / "catalog")


def reference(text: str) -> Ref:
    """`payments:17229`, `role_permissions:3,41` (composite) or `case_messages/comment:12` (entity/source)."""
    name, colon, key = text.partition(":")
    entity, _, source = name.partition("/")
    try:
        parts = key.split(",")
        if not colon:
            raise ValueError(text)
        row = {"entity": entity, "legacy_id": parts[0] if len(parts) == 1 else parts, "source": source or None}
        return Ref.model_validate(row)
    except ValueError:
        raise CliError(
            f"{text} names no legacy row: write entity:key as in payments:17229, role_permissions:3,41 for a "
            "composite key, or case_messages/comment:12 where an entity has several sources; a key is a bigint."
        ) from None


def start(deployment: Deployment, request: RunRequest, command: str = "sync", *, dry_run: bool = False) -> Started:
    """Have the run start as soon as it may; its id tells profile and time, as in weekly-20261129T010000-4fc1d2."""
    run_id = f"{request.profile}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    asked = StartAsked(run_id=run_id, request=request, dry_run=dry_run)
    # The name makes it safe to ask twice: it starts one run.
    return deployment.ask(command, asked, Started, patient=True)


def run_named(deployment: Deployment, name: str) -> str:
    """The id of the run that is meant: `latest` is the one that was asked for last, and is said to be which."""
    if name != LATEST:
        return name
    found = deployment.ask("status", StatusAsked(limit=1, latest=True), Status, patient=True).latest
    if not found:
        raise CliError("There is no run yet: start one with hybrid-sync sync --profile weekly.")
    click.echo(f"{LATEST}: {found}", err=True)
    return found


def report_of(deployment: Deployment, run_id: str, *, as_ended: bool = True) -> RunAnswer:
    """What is known of a run; CliError where nobody knows it."""
    return deployment.ask("report", RunAsked(run_id=run_id, as_ended=as_ended), RunAnswer)


def outcome(deployment: Deployment, run_id: str) -> RunSummary:
    """The summary of a run that has ended; CliError with the cause when it ended before it was planned."""
    found = report_of(deployment, run_id)
    summary = summary_of(found)
    if summary is not None:
        return summary
    why = (found.unrecorded and why_not(found.unrecorded)) or "the state machine gives no cause"
    raise CliError(f"Run {run_id} failed before it was planned: {why}")


def summary_of(found: RunAnswer) -> RunSummary | None:
    """From the target, else from the report in S3; None of a run that was never planned."""
    if found.summary is not None:
        return RunSummary.model_validate(found.summary)
    report = found.unrecorded.report if found.unrecorded else None
    return RunSummary.model_validate(report) if report and "entities" in report else None


def why_not(run: UnrecordedRun) -> str:
    """What stands, or stood, in the way of a run that has not begun."""
    failure = (run.report or {}).get("failure") or {}
    return f"{failure['code']}: {failure['text']}" if failure else run.why


@contextmanager
def target(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the target of the stack on this machine, as its owner."""
    import psycopg  # whoever asks the deployment needs no driver

    try:
        connection = psycopg.connect(stack.target_dsn, connect_timeout=5, autocommit=True)
    except psycopg.OperationalError:
        raise CliError("The target database does not answer: start the stack with hybrid-sync up.") from None
    with connection:
        yield connection


def profile_for(chosen: str | None, request_names_rows: bool) -> Profile:
    """What was asked for, else on_demand for named entities or rows and weekly for everything."""
    if chosen is not None:
        return Profile(chosen)
    return Profile.on_demand if request_names_rows else Profile.weekly

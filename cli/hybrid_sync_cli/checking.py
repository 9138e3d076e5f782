"""A check of the deployment: started as an execution of its state machine, waited for, shown."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime

import click

from hybrid_sync.check.model import CheckOutcome, Severity
from hybrid_sync.services.messages.checks import CheckAsked, CheckedAsked, CheckStanding
from hybrid_sync_cli import tables
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.progress import PAUSE


def checked(deployment: Deployment, disk_gb: float | None = None) -> CheckOutcome:
    """What a check finds now; CliError when it could not be made."""
    check_id = f"check-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    now = deployment.ask("check", CheckAsked(check_id=check_id, disk_gb=disk_gb), CheckStanding, patient=True)
    said = ""
    while now.running:
        if now.why and now.why != said:
            said = now.why
            click.echo(f"It waits. {said}", err=True)
        time.sleep(PAUSE)
        now = deployment.ask("checked", CheckedAsked(check_id=check_id), CheckStanding, patient=True)
    if now.outcome is None:
        raise CliError(f"The check {check_id} could not be made: {now.why}")
    return now.outcome


def show(outcome: CheckOutcome, *, notes: bool = True) -> None:
    """All findings as a table, and how it ended in a sentence."""
    shown = [f for f in outcome.findings if notes or f.severity is not Severity.note]
    if shown:
        tables.console().print(
            tables.plain(
                ("", "code", "what was seen", "what to do"),
                ((f.severity.value, f.code, f.evidence, f.remedy) for f in shown),
            )
        )
    if outcome.left_out:
        click.echo(f"… and {outcome.left_out:,} more, in {outcome.report or 'no report, which could not be stored'}")
    click.echo(in_words(outcome))


def in_words(outcome: CheckOutcome) -> str:
    """The verdict of a check with its counts, in one sentence."""
    counts = f"{outcome.errors:,} errors, {outcome.warnings:,} warnings, {outcome.notes:,} notes"
    if outcome.passed:
        return f"Check {outcome.check_id} has passed ({counts})."
    return f"Check {outcome.check_id} has NOT passed ({counts}): correct what hybrid-sync check names."


def after(deployment: Deployment) -> str:
    """Check what has just been set up, in a sentence; whatever it finds, the setting up itself is done."""
    try:
        return in_words(checked(deployment))
    except CliError as error:
        return f"{error} Try again: hybrid-sync check"

"""`hybrid-sync performance`, `advise` and `usage`: where the time goes, what would spare it, who asks for what."""

from __future__ import annotations

from collections.abc import Iterable

import click

from hybrid_sync.report.words import n_of
from hybrid_sync.services.messages.measures import LONGEST, AdviceAsked, PerformanceAsked, UsageAsked
from hybrid_sync.tuning.model import AdviceAnswer, CallerUse, EntityUse, Performance, PerformanceAnswer, UsageAnswer
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.execution import run_named
from hybrid_sync_cli.screen import console, plain

SHOWN_STEPS = 15
PROFILES = ("entity", "profile", "runs", "idle", "rows read", "changed", "$")


@click.command()
@click.argument("run_id", required=False, metavar="[RUN]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def performance(run_id: str | None, as_json: bool) -> None:
    """Where the time of RUN went (of the last one that was measured), by entity, step and side, and what held it up.

    What is named as a bottleneck comes with its remedy; seconds are those of all functions together.
    """
    deployment = Deployment.chosen()
    asked = PerformanceAsked(run_id=run_named(deployment, run_id) if run_id else "")
    found = deployment.ask("performance", asked, PerformanceAnswer)
    if as_json:
        click.echo(found.model_dump_json())
        return
    _print_steps(found.performance)
    _print_slowest(found.performance)
    click.echo(f"Run {found.run_id} ({found.status}): {n_of(found.performance.calls, 'call')} took"
               f" {found.performance.seconds:,.1f} s, and workers started for {found.performance.start_seconds:,.1f} s"
               " besides.")  # fmt: skip
    click.echo(found.trend)
    for one in found.performance.bottlenecks:
        click.echo(f"Bottleneck {one.code} ({one.share:.0%} of the time): {one.sentence}\n  {one.remedy}")
        _print_ddl(one.ddl)
    if not found.performance.bottlenecks:
        click.echo(found.performance.sentence)


def _print_steps(found: Performance) -> None:
    rows = (
        (one.entity or "(no single one)", one.step, f"{one.calls:,}", f"{one.seconds:,.2f}",
         f"{one.legacy_seconds:,.2f}", f"{one.target_seconds:,.2f}", f"{one.messages:,}")
        for one in found.steps[:SHOWN_STEPS]
    )  # fmt: skip
    head = ("entity", "step", "calls", "s", "legacy s", "target s", "messages")
    console().print(plain(head, rows, right=head[2:]))


def _print_slowest(found: Performance) -> None:
    rows = (
        (one.side, one.entity or "(no single one)", one.step, f"{one.messages:,}", f"{one.seconds:,.2f}",
         f"{one.longest:,.3f}")
        for one in found.slowest
    )  # fmt: skip
    head = ("slowest on", "entity", "statements of", "messages", "s", "longest s")
    console().print(plain(head, rows, right=head[3:]))


def _print_ddl(ddl: str) -> None:
    for line in ddl.splitlines():
        click.echo(f"    {line}")


@click.command()
@click.argument("entities", nargs=-1, metavar="[ENTITY]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def advise(entities: tuple[str, ...], as_json: bool) -> None:
    """Indexes that would spare legacy and target work, each with what is read today, and the statement to run.

    Statements are explained, never run.
    """
    found = Deployment.chosen().ask("advise", AdviceAsked(entities=entities), AdviceAnswer, patient=True)
    if as_json:
        click.echo(found.model_dump_json())
        return
    for one in found.advice:
        click.echo(f"{one.side}: {one.sentence}\n  {one.evidence}.")
        _print_ddl(one.ddl)
    for why in found.skipped:
        click.echo(f"Not looked at: {why}")
    helping = f"{len(found.advice)} would help" if found.advice else "no index is missing"
    click.echo(f"{found.explained:,} statements were explained: {helping}.")


@click.command()
@click.option("--days", type=click.IntRange(1, LONGEST), default=7, show_default=True, help="How far back to look.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def usage(days: int, as_json: bool) -> None:
    """Who asks for what, how often each entity is carried and at what price, and which schedule would fit better."""
    found = Deployment.chosen().ask("usage", UsageAsked(days=days), UsageAnswer)
    if as_json:
        click.echo(found.model_dump_json())
        return
    head = ("asked by", "through", "runs", "rows", "entities", "last")
    console().print(plain(head, map(_caller, found.callers), right=("runs", "rows")))
    console().print(plain(PROFILES, _profiles(found.entities), right=PROFILES[2:]))
    said = [one.advice for one in found.entities if one.advice]
    for sentence in said or ["Each entity's schedule fits how it is used."]:
        click.echo(sentence)


def _caller(one: CallerUse) -> tuple[str, ...]:
    return (one.caller or "(nobody said)", one.trigger, f"{one.runs:,}", f"{one.rows:,}", ", ".join(one.entities),
            f"{one.last:%Y-%m-%d %H:%M}")  # fmt: skip


def _profiles(entities: Iterable[EntityUse]) -> Iterable[tuple[str, ...]]:
    for entity in entities:
        for one in entity.profiles:
            yield (entity.entity, one.profile, f"{one.runs:,}", f"{one.idle:,}", f"{one.rows:,}", f"{one.changed:,}",
                   f"{one.dollars:,.6f}")  # fmt: skip


commands: list[click.Command] = [performance, advise, usage]

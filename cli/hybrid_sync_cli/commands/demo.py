"""`hybrid-sync demo`: everything once, on this machine, with proof that it did what it says."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import Any, TypeVar

import click

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.contracts import Profile, RunRequest
from hybrid_sync.postgres import connect
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.summary import summarise
from hybrid_sync.schema.install import grant
from hybrid_sync_cli import checking, ending, payment, queue_counts
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import catalog_of_project, outcome, start, target
from hybrid_sync_cli.exits import FAILED, exit_of
from hybrid_sync_cli.progress import follow
from hybrid_sync_cli.result import announce, in_a_word, is_accounted_for, read_as_changed, run_result
from hybrid_sync_cli.sample import generate, marker, mutate
from hybrid_sync_cli.screen import program, say
from hybrid_sync_cli.stack import Stack, home
from hybrid_sync_cli.untouched import Seen, Touched, look, touched

QUEUE_PATIENCE = 30.0
Result = TypeVar("Result")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else, on stdout.")
@click.option(
    "--scale",
    type=click.FloatRange(min=0, min_open=True, max=10),
    default=0.01,
    show_default=True,
    help="Size of the sample world; 1 is the company's own, 3.2 million legacy rows.",
)
def demo(scale: float, as_json: bool) -> int:
    """Start the stack, fill it, sync it, live a week, sync again, and carry one payment over the HTTP trigger.

    Leaves the stack up.  Exit status 0 only if every run succeeded, rows and money add up, and the second run read
    exactly what the week had changed; 3 if that holds but for a run that is degraded.  The line that begins with RESULT
    names the file of what was found.
    """
    played, out = Demo(scale), sys.stdout
    if not as_json:
        return played.run(announce)
    with redirect_stdout(sys.stderr):
        return played.run(lambda found, _: print(json.dumps(found, sort_keys=True), file=out))


class Demo:
    """One demo: its steps, and what each of them took and found."""

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._catalog: Catalog = catalog_of_project()
        self._steps: dict[str, float] = {}
        self._runs: list[dict[str, Any]] = []
        self._found: dict[str, Any] = {"mutate": None, "http": None, "queue": None, "touched": None}

    def run(self, show: Callable[[dict[str, Any], str], None]) -> int:
        """Every step in order; then `show` what was found, good or bad, the status in a word, and what to try next.

        CliError when a run fails: what follows would prove nothing.
        """
        status = FAILED
        try:
            good = self._play()
            if good:
                status = max((exit_of(run["status"]) for run in self._runs), default=FAILED)
        finally:
            found = {"ok": status != FAILED, "runs": self._runs, **self._found, "steps": self._steps}
            show(found, in_a_word(status))
        _try_next(self._found["http"]["legacy_id"])
        return status

    def _play(self) -> bool:
        stack = self._step("up", _up)
        self._step("sample", lambda: self._sample(stack))
        before = self._look(stack)
        self._step("check", lambda: self._check(stack))
        self._step("weekly sync", lambda: self._sync(stack))
        week = self._step("a week", lambda: mutate(stack.legacy_dsn))
        click.echo(f"  {len(week.changes):,} legacy rows inserted, updated or deleted")
        self._step("second weekly sync", lambda: self._sync(stack))
        compared = self._found["mutate"] = read_as_changed(self._runs[-1], week.must_read)
        carried = self._step("critical payment", lambda: payment.carry(stack))
        self._found["http"] = asdict(carried)
        click.echo(f"  payment {carried.legacy_id}: {carried.status}, in the target after {carried.seconds} s")
        self._add(stack, outcome(Deployment.here(stack), carried.run_id))
        queue = self._step("failure queue", lambda: queue_counts.settle(stack, QUEUE_PATIENCE))
        self._found["queue"] = queue
        click.echo(f"  {_queue_in_words(queue)}")
        harmed = touched(before, self._look(stack))
        self._found["touched"] = asdict(harmed)
        _show_comparison(stack, compared, harmed)
        return all(map(is_accounted_for, self._runs)) and compared["match"] and carried.arrived and not harmed.any

    def _step(self, name: str, work: Callable[[], Result]) -> Result:
        click.echo(f"— {name}")
        began = time.monotonic()
        done = work()
        self._steps[name] = round(time.monotonic() - began, 2)
        click.echo(f"  {name}: {self._steps[name]:.1f} s")
        return done

    def _sample(self, stack: Stack) -> None:
        with connect(stack.legacy_dsn, "legacy") as legacy:
            world = marker.found(legacy, "legacy")
        if world is None:
            made = generate(stack.legacy_dsn, stack.target_dsn, self._scale)
            click.echo(
                f"  {sum(made['legacy'].values()):,} legacy rows, {sum(made['target'].values()):,} in the target"
            )
        else:
            click.echo(f"  the world of an earlier demo is there (scale {world[1]:g}): it is used as it is")
        grant(stack.target_dsn, self._catalog)

    def _check(self, stack: Stack) -> None:
        found = checking.checked(Deployment.here(stack))
        checking.show(found, notes=False)
        if not found.passed:
            raise CliError("The stack is not fit to run: correct what the check names, then repeat the demo.")

    def _sync(self, stack: Stack) -> None:
        deployment = Deployment.here(stack)
        run_id = start(deployment, RunRequest(profile=Profile.weekly, trigger="demo")).run_id
        follow(deployment, run_id)
        summary = outcome(deployment, run_id)
        self._add(stack, summary)
        ending.show(summary)
        if exit_of(summary.status) == FAILED:
            raise CliError(f"Run {summary.run_id} failed: correct what it names above, then repeat the demo.")

    def _look(self, stack: Stack) -> Seen:
        with target(stack) as connection:
            return look(connection, self._catalog)

    def _add(self, stack: Stack, summary: RunSummary) -> None:
        # The last worker of a run measures itself after the report has been written.
        with target(stack) as connection:
            now = summarise(connection, summary.run_id, self._catalog)
        self._runs.append(run_result(summary.model_copy(update={"workers": now.workers})))


def _up() -> Stack:
    from hybrid_sync_cli.stack.options import UpOptions
    from hybrid_sync_cli.stack.up import Builder

    running = Stack.find()
    if running is not None and not running.owned:
        raise CliError(
            "The stack runs on databases of your own, which a demo must not fill: run hybrid-sync down first."
        )
    with home.only_one():
        return Builder(UpOptions(), lambda line: click.echo(f"  {line}")).run()


def _queue_in_words(queue: dict[str, Any]) -> str:
    states = ", ".join(f"{count:,} {status}" for status, count in queue["records"].items()) or "none"
    return (
        f"failed records: {states}; {queue['records_retried']:,} retried from the queue; "
        f"{queue['queued']} messages waiting, {queue['dead_letters']} dead letters"
    )


def _show_comparison(stack: Stack, compared: dict[str, Any], harmed: Touched) -> None:
    changed, read = sum(compared["changed"].values()), sum(compared["read"].values())
    verdict = "the same" if compared["match"] else "NOT the same, per entity"
    say(f"The week changed {changed:,} rows of entities, and the second run read {read:,}: {verdict}.")
    say(f"UUIDs that were there before: {_kept(harmed.ids)}; rows born in the target: {_kept(harmed.natives)}.")
    say(f"The stack is up: AWS at {stack.aws_endpoint_url}, Supabase at {stack.supabase_url or '(REST is off)'}.")
    click.echo(f"Dashboard: {stack.api_url}/dashboard")


def _try_next(paid: int) -> None:
    """Commands that work as they are printed, each on a line of its own."""
    name = program()
    home_of_it = os.environ.get("HYBRID_SYNC_HOME")
    click.echo("Try next:")
    if home_of_it:
        click.echo(f"  export HYBRID_SYNC_HOME={shlex.quote(home_of_it)}")
    for command, why in (
        ("watch", "what is right, what needs a person, what is at work"),
        ("report latest", "all of the last run; --open shows it in a browser"),
        ("failures", "rows that could not be written, and what to do"),
        ("queue", "what waits, and for whom"),
        (f"sync --ref payments:{paid}", "one row, at once"),
        (f"mutate && {name} sync", "another week"),
        (
            "tokens create me --scope syncs:read --scope syncs:operate",
            "a token: sign in on the dashboard, or call the API",
        ),
        ("down", "stop everything; --purge deletes the data too"),
    ):
        click.echo(f"  {name} {command}\n      {why}")


def _kept(harmed: tuple[str, ...]) -> str:
    return f"CHANGED in {', '.join(harmed)}" if harmed else "all as they were"


commands: list[click.Command] = [demo]

"""`hybrid-sync rollback RUN`: undo what a run wrote; the deployed function does it, half a minute per call."""

from __future__ import annotations

import json
import time

import click

from hybrid_sync.contracts import RollbackOutcome, RollbackTask
from hybrid_sync.report.story.rollback import REASONS
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import who
from hybrid_sync_cli.stack import Stack

_PATIENCE = 5


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "--out-of-order",
    is_flag=True,
    help="Although later runs wrote to the same entities; rows that they wrote are left alone.",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def rollback(run_id: str, out_of_order: bool, as_json: bool) -> int:
    """Undo RUN where its rows still are what it wrote, and hold its entities; exit status 1 if some were not."""
    stack = Stack.load()
    task = RollbackTask(run_id=run_id, out_of_order=out_of_order, requested_by=who())
    outcome = _call(stack, task)
    while outcome.more:
        if not as_json:
            click.echo(f"{_done(outcome)} so far")
        outcome = _call(stack, task.model_copy(update={"rollback_id": outcome.rollback_id}))
    if as_json:
        click.echo(outcome.model_dump_json())
    else:
        _show(outcome)
    return 1 if outcome.undone.conflicts or outcome.failed else 0


def _call(stack: Stack, task: RollbackTask) -> RollbackOutcome:
    """One call of the function; a busy target is asked again, a refusal becomes a sentence."""
    for attempt in range(_PATIENCE):
        answer = stack.client("lambda").invoke(
            FunctionName=stack.outputs["RollbackFunction"], Payload=task.model_dump_json().encode()
        )
        outcome = json.loads(answer["Payload"].read())
        if "FunctionError" not in answer:
            return RollbackOutcome.model_validate(outcome)
        if outcome.get("errorType") != "TransientError":
            break
        time.sleep(2**attempt)
    code, _, sentence = str(outcome.get("errorMessage", "")).partition(": ")
    raise CliError(sentence or code or "The function that undoes runs failed: see its log.")


def _done(outcome: RollbackOutcome) -> str:
    done = outcome.undone
    return f"{done.updated:,} rows put back, {done.deleted:,} deleted, {done.inserted:,} brought back"


def _show(outcome: RollbackOutcome) -> None:
    click.echo(f"Run {outcome.run_id} is undone by {outcome.rollback_id}: {_done(outcome)}.")
    for reason, count in outcome.undone.conflicts.items():
        click.echo(f"Left alone, {REASONS.get(reason, reason)}: {count:,}.")
    if outcome.failed:
        click.echo(f"Not undone: {', '.join(outcome.failed)}. Why: hybrid-sync report {outcome.rollback_id}")
    if outcome.undone.conflicts:
        click.echo(f"Their keys: hybrid-sync report {outcome.rollback_id}")
    if outcome.held:
        click.echo(
            f"Held: {', '.join(outcome.held)}. When the cause is settled: hybrid-sync release {' '.join(outcome.held)}"
        )


commands: list[click.Command] = [rollback]

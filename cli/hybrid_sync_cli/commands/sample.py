"""Fill the stack's own databases with a sample world, and let it live a week: sample, mutate."""

from __future__ import annotations

import json

import click

from hybrid_sync.schema.install import grant
from hybrid_sync_cli import tables
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.execution import catalog_of_project
from hybrid_sync_cli.sample import MutationReport, World, generate
from hybrid_sync_cli.sample import mutate as live_a_week
from hybrid_sync_cli.stack import Stack


@click.command()
@click.option(
    "--scale",
    type=click.FloatRange(min=0, min_open=True, max=10),
    default=0.01,
    show_default=True,
    help="1 is the company's own size: 3.2 million legacy rows.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same rows.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON, and nothing else.")
def sample(scale: float, seed: int, as_json: bool) -> None:
    """Fill both empty databases with a sample world, defects included."""
    stack = _owned()
    world = generate(stack.legacy_dsn, stack.target_dsn, scale, seed)
    grant(stack.target_dsn, catalog_of_project())
    if as_json:
        click.echo(json.dumps(world, indent=1))
    else:
        _show_world(world)


@click.command()
@click.option("--seed", type=int, default=1, show_default=True, help="Which week it is.")
@click.option(
    "--share",
    type=float,
    default=0.01,
    show_default=True,
    help="Part of each table that changes in each way.",
)
@click.option("--json", "as_json", is_flag=True, help="Print every changed key as JSON, and nothing else.")
def mutate(seed: int, share: float, as_json: bool) -> None:
    """Let the sample's legacy live a week: inserts, updates, hard deletes, money changes."""
    report = live_a_week(_owned().legacy_dsn, seed, share)
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    else:
        _show_week(report)


def _owned() -> Stack:
    stack = Stack.load()
    if not stack.owned:
        raise CliError(
            "This stack runs on databases of your own, which the sample never touches: "
            "run `hybrid-sync down`, then `hybrid-sync up` without --legacy-dsn and --target-dsn."
        )
    return stack


def _show_world(world: World) -> None:
    console = tables.console()
    legacy = [(name, f"{rows:,}") for name, rows in world["legacy"].items()]
    console.print(tables.plain(("legacy table", "rows"), legacy, right=("rows",)))
    before = [
        (name, f"{rows:,}", f"{world['native'].get(name, 0):,}", f"{world['gone'].get(name, 0):,}")
        for name, rows in world["target"].items()
        if rows
    ]
    console.print(
        tables.plain(
            ("target table, before any sync", "rows", "native", "gone from legacy"),
            before,
            right=("rows", "native", "gone from legacy"),
        )
    )
    planted = [
        (entity, reason, f"{rows:,}")
        for entity, reasons in world["planted"].items()
        for reason, rows in reasons.items()
    ]
    console.print(tables.plain(("planted defects in", "reason", "rows"), planted, right=("rows",)))
    total = sum(world["legacy"].values())
    click.echo(f"{total:,} legacy rows at scale {world['scale']:g}, seed {world['seed']}, in {world['seconds']} s.")


def _show_week(report: MutationReport) -> None:
    counted: dict[str, dict[str, int]] = {}
    for change in report.changes:
        counted.setdefault(change.table, dict.fromkeys(("inserted", "updated", "deleted"), 0))
        counted[change.table][change.operation] += 1
    rows = [(table, *(f"{n:,}" for n in operations.values())) for table, operations in counted.items()]
    heads = ("inserted", "updated", "deleted")
    console = tables.console()
    console.print(tables.plain(("legacy table", *heads), rows, right=heads))
    events: dict[str, int] = {}
    for change in report.changes:
        events[change.event] = events.get(change.event, 0) + 1
    week = sorted(events.items(), key=lambda item: -item[1])
    console.print(tables.plain(("what happened", "rows"), [(e, f"{n:,}") for e, n in week], right=("rows",)))
    to_read = sum(len(keys) for sources in report.must_read.values() for keys in sources.values())
    gone = sum(len(keys) for sources in report.gone.values() for keys in sources.values())
    click.echo(
        f"{len(report.changes):,} legacy rows changed; the next run has {to_read:,} rows to read, "
        f"and {gone:,} are gone from legacy."
    )


commands: list[click.Command] = [sample, mutate]

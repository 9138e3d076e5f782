"""`hybrid-sync cost`: what this month costs, what one run has cost, what a month would cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, get_args

import click

from hybrid_sync.cost.answer import Cost, EntityCost
from hybrid_sync.cost.bill import Usage, bill, dollars, together
from hybrid_sync.cost.prices import AS_OF, BUDGET, PRICES, REGION, Item
from hybrid_sync.cost.what_if import Plan, Schedule, month
from hybrid_sync.services.messages.measures import CostAsked
from hybrid_sync_cli import tables
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.execution import catalog_of_project, run_named

PRICED = (
    f"list prices of {REGION}, compared on {AS_OF}, without free tiers, and without the databases and their traffic."
)
USUAL = Plan()
MOST = 10**12
"""Rows, changes or requests that anybody can suppose."""


class Number(click.IntRange):
    """A whole number within bounds."""

    name = "whole number"


@click.command()
@click.argument("run_id", required=False, metavar="[RUN]")
@click.option("--rows", type=Number(1, MOST), help=f"What if: rows to compare.  [else {USUAL.rows:,}]")
@click.option("--changes", type=Number(0, MOST), help=f"Rows that change in a week.  [else {USUAL.changes:,}]")
@click.option("--syncs", type=Number(0, MOST), help=f"Critical requests in a month.  [else {USUAL.syncs:,}]")
@click.option(
    "--schedule",
    type=click.Choice(get_args(Schedule)),
    help="The weekly run alone, with a daily one, or with an hourly one of critical entities.  [else weekly]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cost(
    run_id: str | None, rows: int | None, changes: int | None, syncs: int | None, schedule: Schedule | None,
    as_json: bool,
) -> None:  # fmt: skip
    """What this month costs on AWS so far and to its end, by item and entity; or what RUN has cost.

    With a size or a schedule: what a month would cost, of any deployment.
    """
    given = {"rows": rows, "changes": changes, "syncs": syncs, "schedule": schedule}
    supposed = {name: value for name, value in given.items() if value is not None}
    if supposed and run_id:
        raise click.UsageError("Name a run, or sizes and a schedule, not both.")
    if supposed:
        _suppose(supposed, as_json)
        return
    deployment = Deployment.chosen()
    run_id = run_id and run_named(deployment, run_id)
    found = deployment.ask("cost", CostAsked(run_id=run_id), Cost)
    if as_json:
        click.echo(found.model_dump_json())
        return
    _print_items((line.item, Decimal(str(line.quantity)), Decimal(str(line.dollars))) for line in found.items)
    _print_entities(found.entities)
    if run_id:
        click.echo(f"Run {run_id} has cost ${found.dollars:,.4f}: {PRICED}")
        return
    _print_parts(found.parts)
    budget = float(deployment.outputs.get("MonthlyBudget", BUDGET))
    of = f", of a budget of ${budget:,.2f}" if budget else ""
    click.echo(
        f"${found.dollars:,.2f} since {found.since:%Y-%m-%d}, about ${found.forecast:,.2f} at its end{of}: {PRICED}"
    )


def _suppose(given: Mapping[str, Any], as_json: bool) -> None:
    from hybrid_sync.catalog.models import Priority  # whoever asks a deployment needs no catalog
    from hybrid_sync.catalog.waves import waves
    from hybrid_sync.steps.fit_entities import with_ancestors

    catalog = catalog_of_project()
    critical = [name for name, entity in catalog.entities.items() if entity.priority is Priority.critical]
    plan = Plan(
        **given, entities=len(catalog.entities), critical=len(with_ancestors(catalog, critical)),
        waves=len(waves(catalog.entities)),
    )  # fmt: skip
    parts = month(plan)
    if as_json:
        click.echo(json.dumps(_as_json(parts)))
        return
    whole = together(parts.values())
    _print_items((line.item.name, line.quantity, line.dollars) for line in bill(whole))
    _print_parts({name: float(dollars(usage)) for name, usage in parts.items()})
    click.echo(f"About ${dollars(whole):,.2f} a month, of a budget of ${BUDGET}: {PRICED}")


def _as_json(parts: Mapping[str, Usage]) -> dict[str, object]:
    lines = bill(together(parts.values()))
    return {
        "region": REGION,
        "as_of": str(AS_OF),
        "items": [
            {"item": line.item.name, "quantity": float(line.quantity), "dollars": float(line.dollars)} for line in lines
        ],
        "parts": {name: float(dollars(usage)) for name, usage in parts.items()},
        "dollars": float(dollars(together(parts.values()))),
    }


def _print_items(lines: Iterable[tuple[str, Decimal, Decimal]]) -> None:
    rows = (
        (Item[name], f"{quantity:,.2f}", f"{PRICES[Item[name]].of(Decimal(1)).normalize():f}", f"{paid:,.4f}",
         PRICES[Item[name]].page, PRICES[Item[name]].note)
        for name, quantity, paid in lines
    )  # fmt: skip
    head = ("item", "quantity", "$ each", "$", "price page", "price as of")
    tables.console().print(tables.plain(head, rows, right=("quantity", "$ each", "$"), spare=("price page",)))


def _print_entities(entities: Iterable[EntityCost]) -> None:
    rows = (
        (one.entity or "(no single one)", one.profile, f"{one.runs:,}", f"{one.calls:,}", f"{one.seconds:,.1f}",
         f"{one.dollars:,.6f}", f"{one.dollars / one.runs:,.6f}")
        for one in entities
    )  # fmt: skip
    head = ("entity", "profile", "runs", "calls", "s", "$", "$ a run")
    tables.console().print(tables.plain(head, rows, right=head[2:]))


def _print_parts(parts: Mapping[str, float]) -> None:
    rows = ((name, f"{paid:,.4f}") for name, paid in parts.items())
    tables.console().print(tables.plain(("for", "$"), rows, right=("$",)))


commands: list[click.Command] = [cost]

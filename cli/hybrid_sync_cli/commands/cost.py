"""`hybrid-sync cost`: what a month costs, item by item."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import get_args

import click

from hybrid_sync.catalog.models import Priority
from hybrid_sync.catalog.waves import waves
from hybrid_sync.cost.bill import Usage, bill, dollars, together
from hybrid_sync.cost.prices import AS_OF, BUDGET, PRICES, REGION
from hybrid_sync.cost.what_if import Plan, Schedule, month
from hybrid_sync.steps.fit_entities import with_ancestors
from hybrid_sync_cli import tables
from hybrid_sync_cli.execution import catalog_of_project

USUAL = Plan()


@click.command()
@click.option("--rows", type=click.IntRange(1), default=USUAL.rows, show_default=True, help="Rows to compare.")
@click.option(
    "--changes", type=click.IntRange(0), default=USUAL.changes, show_default=True, help="Rows that change in a week."
)
@click.option(
    "--syncs", type=click.IntRange(0), default=USUAL.syncs, show_default=True, help="Critical requests in a month."
)
@click.option(
    "--schedule",
    type=click.Choice(get_args(Schedule)),
    default=USUAL.schedule,
    show_default=True,
    help="The weekly run alone, with a daily one, or with an hourly one of critical entities.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cost(rows: int, changes: int, syncs: int, schedule: Schedule, as_json: bool) -> None:
    """What a month would cost on AWS, by list prices, item by item."""
    catalog = catalog_of_project()
    critical = [name for name, entity in catalog.entities.items() if entity.priority is Priority.critical]
    entities = (len(catalog.entities), len(with_ancestors(catalog, critical)), len(waves(catalog.entities)))
    plan = Plan(rows, changes, syncs, schedule, *entities)
    parts = month(plan)
    if as_json:
        click.echo(json.dumps(_told(parts)))
        return
    _print(parts)
    click.echo(
        f"About ${dollars(together(parts.values())):,.2f} a month, of a budget of ${BUDGET}: list prices of {REGION} of"
        f" {AS_OF}, without free tiers, and without the databases and their traffic."
    )


def _told(parts: Mapping[str, Usage]) -> dict[str, object]:
    lines = bill(together(parts.values()))
    return {
        "prices": {"region": REGION, "as_of": str(AS_OF)},
        "items": [
            {"item": line.item.name, "quantity": float(line.quantity), "dollars": float(line.dollars)} for line in lines
        ],
        "parts": {name: float(dollars(usage)) for name, usage in parts.items()},
        "dollars": float(dollars(together(parts.values()))),
    }


def _print(parts: Mapping[str, Usage]) -> None:
    lines = bill(together(parts.values()))
    out = tables.console()
    rows = [
        (
            line.item,
            f"{line.quantity:,.2f}",
            _price(line.dollars, line.quantity),
            f"{line.dollars:,.4f}",
            PRICES[line.item].page,
        )
        for line in lines
    ]
    out.print(tables.plain(("item", "quantity", "$ each", "$", "price page"), rows, right=("quantity", "$ each", "$")))
    shares = [(name, f"{dollars(usage):,.4f}") for name, usage in parts.items()]
    out.print(tables.plain(("for", "$"), shares, right=("$",)))


def _price(paid: Decimal, quantity: Decimal) -> str:
    return f"{(paid / quantity).normalize():f}"


commands: list[click.Command] = [cost]

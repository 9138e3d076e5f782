"""`hybrid-sync catalog check`: read the catalog as a deployment would; say what it syncs or what is wrong."""

from __future__ import annotations

from pathlib import Path

import click

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.load import load
from hybrid_sync_cli import tables
from hybrid_sync_cli.stack import home


@click.group()
def catalog() -> None:
    """The entity files: what is synced, and how."""


@catalog.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
def check(path: Path | None) -> None:
    """Check the entity files in PATH (layers/catalog unless told) and list the entities in write order."""
    folder = path or home.project_root() / "layers" / "catalog"
    found = load(folder)
    tables.console().print(
        tables.plain(
            ("wave", "entity", "target", "from legacy", "references", "money", "on delete", "priority"),
            _rows(found),
            right=("wave",),
        )
    )
    click.echo(f"Entities: {len(found.entities)}, waves: {len(found.waves())}, mistakes: none.")


def _rows(found: Catalog) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for number, wave in enumerate(found.waves(), start=1):
        for name in wave:
            entity = found[name]
            sources = entity.sources.values()
            references = dict.fromkeys(
                f"{parent.to}{' (deferred)' if reference.deferred else ''}"
                for source in sources
                for reference in source.references.values()
                for parent in reference.parents
            )
            rows.append(
                (
                    str(number),
                    name,
                    entity.target,
                    ", ".join(dict.fromkeys(source.table.table for source in sources)),
                    ", ".join(references),
                    ", ".join(money.column for money in entity.money),
                    entity.on_delete.policy,
                    entity.priority.value,
                )
            )
    return rows


commands: list[click.Command] = [catalog]

"""`hybrid-sync catalog check`: read the catalog as a deployment would; say what it syncs or what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import click

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.load import Loaded, load, load_with_places
from hybrid_sync.catalog.webhooks import load_webhooks
from hybrid_sync.check.misfits import Misfit, in_legacy, in_target
from hybrid_sync.errors import MissingPrivilege, StructureMismatch
from hybrid_sync.postgres import Connection, Side, connect
from hybrid_sync.schema.plans import compile_entity
from hybrid_sync_cli import tables
from hybrid_sync_cli.catalog_check import syntax
from hybrid_sync_cli.catalog_check.findings import Finding
from hybrid_sync_cli.stack import home
from hybrid_sync_cli.trust import ca_of


@click.group()
def catalog() -> None:
    """The entity files: what is synced, and how."""


@catalog.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--legacy-dsn", help="Let this legacy database resolve every expression; nothing is run or read.")
@click.option("--target-dsn", help="Look at this target's tables as well, as a role that may write them.")
@click.option("--legacy-ca", metavar="FILE", help="The CA of legacy's certificate (PEM), system, or plaintext.")
@click.option("--target-ca", metavar="FILE", help="The same of the target.")
@click.option("--stack", "of_stack", is_flag=True, help="Use the databases of the stack that runs.")
def check(
    path: Path | None, legacy_dsn: str | None, target_dsn: str | None, legacy_ca: str | None, target_ca: str | None,
    of_stack: bool,
) -> int:  # fmt: skip
    """Check the entity files in PATH (default: layers/catalog) and list the entities in write order.

    Every mistake is listed at once, by file and line. Exit status 0 only if there is none.
    """
    if of_stack:
        from hybrid_sync_cli.stack import Stack

        stack = Stack.load()
        legacy_dsn, target_dsn = legacy_dsn or stack.worker_legacy_dsn, target_dsn or stack.worker_target_dsn
    folder = path or home.project_root() / "layers" / "catalog"
    loaded = load_with_places(folder)
    load_webhooks(loaded.catalog, folder)
    with ExitStack() as opened:
        legacy = opened.enter_context(_connected(legacy_dsn, "legacy", legacy_ca)) if legacy_dsn else None
        target = opened.enter_context(_connected(target_dsn, "target", target_ca)) if target_dsn else None
        found = sorted(set(_findings(loaded, legacy, target)))
    for finding in found:
        click.echo(str(finding), err=True)
    mistakes = sum(not finding.doubtful for finding in found)
    if mistakes:
        click.echo(f"hybrid-sync: {mistakes} mistake{'s' if mistakes > 1 else ''} in the catalog.", err=True)
        return 1
    tables.console().print(
        tables.plain(
            ("wave", "entity", "target", "from legacy", "references", "money", "on delete", "priority"),
            _rows(loaded.catalog),
            right=("wave",),
        )
    )
    click.echo(f"Entities: {len(loaded.catalog.entities)}, waves: {len(loaded.catalog.waves())}, mistakes: none.")
    return 0


@catalog.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
def describe(path: Path | None) -> None:
    """Say in words what each entity is, as its file describes it."""
    for name, entity in load(path or home.project_root() / "layers" / "catalog").entities.items():
        click.echo(f"{name}: {' '.join(entity.description.split()) or entity.title}")


def _connected(dsn: str, side: Side, ca: str | None) -> Connection:
    return connect(dsn, side, ca_of(side, ca, dsn))


def _findings(loaded: Loaded, legacy: Connection | None, target: Connection | None) -> Iterator[Finding]:
    """Where a database can judge, the parser is not asked."""
    if legacy is None:
        yield from syntax.findings(loaded)
    for name in loaded.catalog.entities:
        entity = loaded.catalog[name]
        found = list(in_legacy(entity, legacy)) if legacy else []
        found += in_target(entity, target) if target else []
        if legacy and target and all(misfit.doubtful for misfit in found):
            found += _where_both_meet(loaded, name, legacy, target)
        yield from (Finding(loaded.place(name, misfit.path), misfit.text, misfit.doubtful) for misfit in found)


def _where_both_meet(loaded: Loaded, name: str, legacy: Connection, target: Connection) -> Iterator[Misfit]:
    """Types that do not fit, codes that are none."""
    try:
        compile_entity(name, loaded.catalog, legacy, target)
    except (StructureMismatch, MissingPrivilege) as error:
        yield Misfit((), str(error))


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

"""`hybrid-sync idmap`: is the cache of ids right, fill it anew, keep a copy of the ids, give lost rows theirs back."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import click

from hybrid_sync.key_values import key_text
from hybrid_sync.services.messages import Asked
from hybrid_sync.services.messages.idmap import (
    BackupAsked,
    Backups,
    BackupsAsked,
    CheckAsked,
    Checked,
    Kept,
    Position,
    RebuildAsked,
    Rebuilt,
    RestoreAsked,
    Restored,
)
from hybrid_sync_cli import tables
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.execution import catalog_of_project
from hybrid_sync_cli.exits import FAILED

W = TypeVar("W", Checked, Rebuilt, Kept, Restored)
_SHOWN = 10

_entities = click.argument("entities", nargs=-1, metavar="[ENTITY]…")


@click.group()
def idmap() -> None:
    """The legacy keys' UUIDs: compare the cache with the target, fill it anew, keep a copy, restore from it."""


@idmap.command()
@_entities
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(entities: tuple[str, ...], as_json: bool) -> int:
    """Compare every cached id with the target's; exit status 1 where one is wrong.  Nothing is changed."""
    deployment = Deployment.chosen()
    counted = {
        name: list(_walk(deployment, "idmap-check", CheckAsked(entity=name), Checked)) for name in _named(entities)
    }
    wrong = {name: sum(one.wrong for one in pages) for name, pages in counted.items()}
    columns = ("rows", "cached", "wrong", "unsealed")
    rows = [(name, *(sum(getattr(one, c) for one in pages) for c in columns)) for name, pages in counted.items()]
    if as_json:
        click.echo(json.dumps([dict(zip(("entity", *columns), row, strict=True)) for row in rows]))
        return FAILED if any(wrong.values()) else 0
    _print(columns, rows)
    for name, pages in counted.items():
        named = [f"{name}/{source}:{key_text(key)}" for one in pages for source, key in one.named]
        if named:
            click.echo(f"wrong: {', '.join(named[:_SHOWN])}{' …' if len(named) > _SHOWN else ''}")
    if any(wrong.values()):
        click.echo(f"Fill it anew with: hybrid-sync idmap rebuild {' '.join(n for n, count in wrong.items() if count)}")
        return FAILED
    click.echo("Every cached id is the target's own.")
    return 0


@idmap.command()
@_entities
def rebuild(entities: tuple[str, ...]) -> None:
    """Forget what is cached, and fill the cache from the target."""
    deployment, rows, left = Deployment.chosen(), 0, 0
    for name in _named(entities):
        for one in _walk(deployment, "idmap-rebuild", RebuildAsked(entity=name), Rebuilt):
            rows, left = rows + one.rows, left + one.left
    click.echo(f"{rows:,} ids are cached." + (f" DynamoDB has not taken {left:,} pages: repeat it." if left else ""))


@idmap.command()
def backup() -> None:
    """Copy all ids into the data bucket; kept for 180 days."""
    deployment, rows = Deployment.chosen(), 0
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    for entity in _named(()):
        for one in _walk(deployment, "idmap-backup", BackupAsked(backup=name, entity=entity), Kept):
            rows += one.rows
    deployment.ask("idmap-backup", BackupAsked(backup=name), Kept)
    click.echo(f"Backup {name} has {rows:,} ids.")


@idmap.command()
def backups() -> None:
    """List the copies, the newest first."""
    for name in Deployment.chosen().ask("idmap-backups", BackupsAsked(), Backups).backups:
        click.echo(name)


@idmap.command()
@click.argument("name", metavar="BACKUP")
@_entities
def restore(name: str, entities: tuple[str, ...]) -> None:
    """Let rows that the target has lost come back with the ids of BACKUP; rows that are there stay as they are.

    The next weekly run brings the rows.
    """
    deployment, columns = Deployment.chosen(), ("rows", "there", "kept", "other")
    rows = []
    for entity in _named(entities):
        pages = list(_walk(deployment, "idmap-restore", RestoreAsked(backup=name, entity=entity), Restored))
        rows.append((entity, *(sum(getattr(one, c) for one in pages) for c in columns)))
    _print(columns, rows)
    click.echo("Rows under `kept` return with their ids: hybrid-sync sync --profile weekly")


def _named(entities: Sequence[str]) -> list[str]:
    """The entities meant: those named, or all."""
    known = catalog_of_project()
    return [known[name].entity for name in entities] or list(known.entities)


def _walk(deployment: Deployment, command: str, asked: Asked, answer: type[W]) -> Iterator[W]:
    """Every answer for what is asked, call by call, until none is left."""
    at: Position | None = None
    while True:
        found = deployment.ask(command, asked.model_copy(update={"at": at}), answer, patient=True)
        yield found
        if found.next is None:
            return
        at = found.next


def _print(columns: Sequence[str], rows: Sequence[tuple[str | int, ...]]) -> None:
    texts = ((str(row[0]), *(f"{number:,}" for number in row[1:])) for row in rows)
    tables.console().print(tables.plain(("entity", *columns), texts, right=columns))


commands: list[click.Command] = [idmap]

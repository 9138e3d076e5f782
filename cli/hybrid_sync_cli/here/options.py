"""What the commands that work in this process have in common: where they find everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hybrid_sync_cli.stack import home

if TYPE_CHECKING:
    from hybrid_sync.catalog.catalog import Catalog
    from hybrid_sync_cli.here.world import HereWorld

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path)


def of_this_machine(command: F) -> F:
    """Adds --secret, --folder and --erasures to a command."""
    for option in (
        click.option(
            "--erasures", type=_FILE, metavar="FOLDER",
            help="The data bucket's erasures/, fetched: who was erased since the target's backup.",
        ),
        click.option(
            "--folder", type=_FILE, metavar="FOLDER", help="Where plans and reports go; here/ of the stack's home."
        ),
        click.option(
            "--secret", type=_FILE, metavar="FILE", help="The offline copy that install --offline-secret wrote."
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@contextmanager
def world_of(
    catalog: Catalog, secret: Path | None, folder: Path | None, erasures: Path | None
) -> Iterator[HereWorld]:  # fmt: skip
    """The world of a run in this process, from the offline copy of the secrets; closed at the end of the block."""
    from hybrid_sync_cli.here.secret_file import connections  # the engine, as below

    held = connections(secret)
    from hybrid_sync_cli.here.world import HereWorld

    world = HereWorld(catalog, held, folder or home.directory() / "here", erasures)
    try:
        yield world
    finally:
        world.close()

"""Programs that tests need, installed where they are not yet: npm's packages, and what a script brings."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.npm import install

_HERE = Path(__file__).parent


def installed(lists: Path, name: str) -> Path:
    """The folder with the packages of the lists in a folder of the project, fetched where they are not there yet."""
    place = _folder(name)
    if said := install(printed(_HERE / "npm.sh"), lists, place):  # which lets one process in at a time
        pytest.fail(f"npm cannot fetch what {lists} lists: {said}")
    return place / "node_modules"


def printed(script: Path) -> str:
    """What a script that installs a program prints: where it is."""
    with alone("apt"):
        return subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@contextmanager
def alone(name: str) -> Iterator[Path]:
    """A folder that stays; tests run in several processes, and one of them installs at a time."""
    place = _folder(name)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place


def _folder(name: str) -> Path:
    """Of the project, and kept; others than root look into it, too."""
    place = home.project_root() / ".hybrid-sync" / name
    place.mkdir(mode=0o711, parents=True, exist_ok=True)
    return place

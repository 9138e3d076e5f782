"""npm's packages as a lock file has them: by their hashes, whatever registry npm knows, and none of their scripts."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hybrid_sync_cli.stack import home

_HERE = Path(__file__).parent
_LISTS = ("package.json", "package-lock.json")


def installed(lists: Path, name: str) -> Path:
    """The folder with the packages of the lists in a folder of the project, fetched where they are not there yet."""
    with alone(name) as place:
        if not all(_is_same(lists / file, place / file) for file in _LISTS):
            npm = printed(_HERE / "npm.sh")
            for file in _LISTS:
                shutil.copy(lists / file, place / file)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
            if done.returncode:
                (place / "package.json").unlink()
                pytest.fail(f"npm cannot fetch what {lists} lists: {done.stderr.strip()}")
        return place / "node_modules"


def printed(script: Path) -> str:
    """What a script that installs a program prints: where it is."""
    with alone("apt"):
        return subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@contextmanager
def alone(name: str) -> Iterator[Path]:
    """A folder that stays; tests run in several processes, and one of them installs at a time."""
    place = home.project_root() / ".hybrid-sync" / name
    place.mkdir(mode=0o711, parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place


def _is_same(one: Path, other: Path) -> bool:
    return other.exists() and one.read_bytes() == other.read_bytes()

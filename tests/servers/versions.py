"""PostgreSQL of every major version that is supported: ours, Debian's, and npm's, which have TLS."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from hybrid_sync_cli.stack import binaries
from hybrid_sync_cli.stack.binaries import Binaries
from hybrid_sync_cli.stack.tls_cluster import from_npm, link
from tests.servers import npm

FROM_NPM = (13, 14, 16, 17)
_HERE = Path(__file__).parent
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def of(major: int) -> Binaries:
    """The programs of one version, installed where they are not yet."""
    if major == 15:
        return in_folder(npm.printed(_HERE.parent / "cases" / "postgres15.sh"))
    return in_folder(_seventeen() if major == 17 else _from_npm(major))


def in_folder(folder: str | Path) -> Binaries:
    """The programs in a bin folder, in a place where their user can run them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(binaries.OVERRIDE, str(folder))
        return binaries.find()


def ensure_npm() -> str:
    """Where npm is, installed where it is not yet."""
    return npm.printed(_HERE / "npm.sh")


def _seventeen() -> Path:
    """That of the strict stack's target."""
    folder, said = from_npm(ensure_npm())
    if folder is None:
        pytest.fail(said)
    return folder


def _from_npm(major: int) -> Path:
    packages = npm.installed(_HERE, "servers")
    machine = f"{sys.platform}-{_MACHINES.get(platform.machine(), platform.machine())}"
    package = packages / f"postgres-{major}-{machine.removeprefix('linux-')}"
    if not package.is_dir():
        said = f"npm's PostgreSQL {major} is not there for this machine ({machine})."
        pytest.fail(said) if machine == "linux-x64" else pytest.skip(said)
    link(package)
    return package / "native" / "bin"

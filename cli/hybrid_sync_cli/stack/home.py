"""What must outlive a command: one private folder, whose files appear whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hybrid_sync_cli.errors import CliError

# Root's databases run as another user, who cannot see into root's private folders.
SHARED = Path("/var/lib/hybrid-sync")


class NoFolder(CliError, OSError):
    """The home is no folder and cannot become one; for whoever can do without it a trouble of the disk like others."""


def project_root() -> Path:
    """The checkout that this command belongs to: where template.yaml and the Makefile are."""
    return Path(__file__).resolve().parents[3]


def directory() -> Path:
    """`.hybrid-sync` in the project, or $HYBRID_SYNC_HOME; made private to its owner."""
    chosen = os.environ.get("HYBRID_SYNC_HOME")
    try:
        path = Path(chosen).expanduser().resolve() if chosen else project_root() / ".hybrid-sync"
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, FileNotFoundError, NotADirectoryError, RuntimeError) as error:
        # A file stands there, or on the way; or no user has that home, or links lead in a circle (RuntimeError).
        raise NoFolder(
            f"{chosen or '.hybrid-sync in the checkout'} is no folder, and none can be made there:"
            " set HYBRID_SYNC_HOME to a folder that may be written."
        ) from error
    if path.stat().st_mode & 0o777 != 0o700:  # of what may not be written it may be read how things are
        path.chmod(0o700)
    return path


def reachable(base: Path) -> Path:
    """Where database files for `base` live: there, or for root in a stand-in that others can reach."""
    if os.geteuid() != 0:
        return base
    path = SHARED / hashlib.sha256(str(base.resolve()).encode()).hexdigest()[:12]
    path.mkdir(mode=0o711, parents=True, exist_ok=True)
    SHARED.chmod(0o711)
    return path


def write_private(path: Path, text: str) -> None:
    """Replace `path` at once, readable by its owner only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The object in `path`, or an empty one when there is no such file."""
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return content


class StateFile:
    """Small values that are made once and stay: passwords, keys, the ports of last time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values = read_json(path)

    def secret(self, name: str, size: int = 24, beginning: str = "") -> str:
        """The secret of that name, made on first use from `size` random bytes (letters, digits, - and _)."""
        if name not in self._values:
            self.put(name, beginning + secrets.token_urlsafe(size))
        return str(self._values[name])

    def get(self, name: str) -> Any:
        return self._values.get(name)

    def put(self, name: str, value: Any) -> None:
        if self._values.get(name) != value:
            self._values[name] = value
            write_private(self._path, json.dumps(self._values, indent=1))


@contextmanager
def only_one() -> Iterator[None]:
    """Let one `up` or `down` work at a time; a killed one frees the lock by dying."""
    with (directory() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CliError("Another hybrid-sync up or down is at work: wait for it to end.") from error
        yield

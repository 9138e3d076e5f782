"""Processes of one home: each in a session of its own, recorded by pid and start time, and found by its mark.

A pid alone is no identity (the system reuses it), and a record can miss a process that was started just
before a kill -9; therefore every process also carries its home in its environment.
"""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import home

MARK = "HYBRID_SYNC_STACK"
GRACE = 10.0  # seconds that a process gets to end by itself

# Python complains about a Popen that is dropped while its process runs; ours are meant to outlive us.
_children: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Processes:
    """The background processes of the stack whose files are in `home`."""

    home: Path

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        user: str | None = None,
        cwd: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start `command` in the background with its output in logs/<name>.log, and record it as `name`."""
        with self.log_file(name).open("ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                env={**env, MARK: str(self.home)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                start_new_session=True,
                **as_user(user),
            )
        _children.append(process)
        self.record(name, process.pid)
        return process

    def log_file(self, name: str) -> Path:
        path = self.home / "logs" / f"{name}.log"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        return path

    def log_tail(self, name: str) -> str:
        """The last line that a process wrote, for the sentence about its failure."""
        said = self.log_file(name).read_text("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(said) if line.strip()), "it said nothing")

    def record(self, name: str, pid: int) -> None:
        try:
            started = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            return  # it has ended already, and whoever waits for it will say so
        home.write_private(self._record_file(name), f"{pid} {started!r}")

    def recorded(self, name: str) -> psutil.Process | None:
        """The living process that was recorded as `name`, or None."""
        try:
            pid, started = self._record_file(name).read_text("utf-8").split()
            process = psutil.Process(int(pid))
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None
        return process if process.create_time() == float(started) and is_alive(process) else None

    def stop(self, name: str, *, grace: float = GRACE) -> None:
        """Stop the process recorded as `name` with everything that it started; forget it."""
        process = self.recorded(name)
        if process is not None:
            end(family(process), grace=grace)
        self.forget(name)

    def forget(self, name: str) -> None:
        self._record_file(name).unlink(missing_ok=True)

    def marked(self) -> list[psutil.Process]:
        """Every living process that carries this home's mark; this one and its callers left out."""
        kin = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid not in kin and process.environ().get(MARK) == str(self.home):
                    found.append(process)
            except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
                continue  # another user's, or gone already: not ours
        return found

    def _record_file(self, name: str) -> Path:
        return self.home / "run" / f"{name}.pid"


def as_user(user: str | None) -> dict[str, Any]:
    """Arguments for subprocess that give up root for `user`; nothing to give up for None."""
    return {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs; one that has ended and waits for its parent to notice does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def still_alive(processes: list[psutil.Process], *, seconds: float) -> list[psutil.Process]:
    """Those of the processes that have not ended after so many seconds; returns early when all have."""
    deadline = time.monotonic() + seconds
    while (left := [process for process in processes if is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and everything that it started, as far as it still lives."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def end(doomed: Iterable[psutil.Process], *, grace: float = GRACE) -> None:
    """Ask the processes to end, wait for them (seconds), and kill what is left."""
    processes = list(doomed)
    for ask in (psutil.Process.terminate, psutil.Process.kill):
        for process in processes:
            try:
                ask(process)
            except psutil.NoSuchProcess:
                continue
        processes = still_alive(processes, seconds=grace)
    _children[:] = [child for child in _children if child.poll() is None]


def wait_until(ready: Callable[[], bool], *, seconds: float, failed: Callable[[], str | None], what: str) -> None:
    """Poll until `ready`; CliError as soon as `failed` gives a reason, or when the time is over."""
    deadline = time.monotonic() + seconds
    while not ready():
        reason = failed()
        if reason is None and time.monotonic() > deadline:
            reason = f"it did not answer within {seconds:.0f} seconds"
        if reason is not None:
            raise CliError(f"{what} did not start: {reason}")
        time.sleep(0.02)


def port_is_free(port: int) -> bool:
    """Whether nothing listens on this port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(preferred: int | None = None) -> int:
    """`preferred` when nobody listens there, else any free port of 127.0.0.1."""
    if preferred and port_is_free(preferred):
        return preferred
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def demanded_port(port: int, option: str) -> int:
    """A port that a person asked for; CliError when somebody else has it."""
    if not port_is_free(port):
        raise CliError(f"Port {port} is taken by another program: give {option} another one, or leave it out.")
    return port

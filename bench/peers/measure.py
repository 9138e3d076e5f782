"""What a job takes: seconds on the clock, CPU of its own processes and of both servers, memory, and who else worked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.peers.begin import GO, READY
from bench.peers.memory import watched
from hybrid_sync_cli.errors import CliError

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Job:
    """A command.  One that `waits` says that it has loaded its programs, and begins when it is told to; what it prints
    at last is a JSON object; where that has a `peak_kib`, it counts instead of what is seen from outside."""

    command: tuple[str, ...]
    order: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    waits: bool = True


@dataclass(frozen=True)
class Measured:
    """Seconds; MiB of the largest process; `others` is what everybody else used of all processors, 0 to 1."""

    wall: float
    client: float
    legacy: float
    target: float
    peak: float
    others: float
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cpu(self) -> float:
        return self.client + self.legacy + self.target


def measured(job: Job, servers: Callable[[], tuple[float, float]]) -> Measured:
    """Do it; CliError with its last words where it fails.

    The clock runs from when its programs are loaded until its last process has ended.
    """
    process = subprocess.Popen(
        job.command, cwd=PROJECT, env={**os.environ, **job.environment},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin and process.stdout and process.stderr
    before = 0.0
    if job.waits:
        process.stdin.write(json.dumps(job.order).encode() + b"\n")
        process.stdin.flush()
        if process.stdout.readline() != READY.encode():
            raise CliError(_last_words(job, process))
        before = of_family(psutil.Process(process.pid))
    servers_before, everybody, ours, began = servers(), _busy(), time.process_time(), time.perf_counter()
    with watched(process.pid) as memory:
        if job.waits:
            process.stdin.write(GO.encode())
        process.stdin.close()
        with process.stdout, process.stderr:
            said, complaint = process.stdout.read(), process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise CliError(f"{_name(job)} ended: {(complaint or said).decode(errors='replace').strip()[-400:]}")
    all_of_it = _busy() - everybody - (time.process_time() - ours)
    legacy, target = (after - was for after, was in zip(servers(), servers_before, strict=True))
    client = used.ru_utime + used.ru_stime - before
    if job.waits and complaint:
        print(complaint.decode(errors="replace"), file=sys.stderr)
    told = json.loads(said.splitlines()[-1]) if job.waits else {}
    others = max(0.0, all_of_it - client - legacy - target) / (wall * (psutil.cpu_count() or 1))
    peak = told.get("peak_kib", memory.kib) / 1024
    return Measured(wall, client, legacy, target, peak, others, told)


def of_family(process: psutil.Process) -> float:
    """CPU seconds of a process and of all that it has started."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue  # its parent has it in its own from now on
        total += times.user + times.system + times.children_user + times.children_system
    return total


def of_server(postmaster: psutil.Process) -> float:
    """The same of a server: sessions that have ended are in the postmaster's."""
    return of_family(postmaster)


def _busy() -> float:
    """CPU seconds that all processors have worked, for whomever but the kernel's own threads: those write for us."""
    times = psutil.cpu_times()
    worked = sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
    return worked - sum(_of_kernel())


def _of_kernel() -> Iterator[float]:
    """CPU seconds of each kernel thread; Linux has them as the children of process 2."""
    for process in psutil.process_iter() if sys.platform == "linux" else ():
        with suppress(psutil.NoSuchProcess):
            if process.ppid() == 2:
                times = process.cpu_times()
                yield times.user + times.system


def _last_words(job: Job, process: subprocess.Popen[bytes]) -> str:
    process.kill()
    _, complaint = process.communicate()
    said = complaint.decode(errors="replace").strip().splitlines() or ["nothing"]
    return f"{_name(job)} did not begin: {said[-1]}"


def _name(job: Job) -> str:
    return next((part for part in job.command if part.startswith("bench.")), Path(job.command[0]).name)

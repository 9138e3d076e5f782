"""What the operator's command costs: CPU and wall seconds of `--help`, and of each command that asks a deployment,
against the stack that is up; and how many requests each makes.

It is judged by its CPU.  The wall clock counts what the deployment takes to answer, too, and means something on a quiet
machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import Stack

PROGRAM = Path(sys.executable).with_name("hybrid-sync")
ROUNDS = 5
MOST_HELP_CPU, MOST_CPU = 0.25, 0.6
"""Of a command that asks, whose goal is one second: the rest is for the answer."""
RUN = "RUN"
ASKING = (
    ("status",), ("status", RUN), ("queue",), ("syncs",), ("watch", "--once"), ("report", RUN),
    ("report", RUN, "--format", "json"), ("logs", RUN), ("verify", "--of", RUN), ("failures",), ("failures", RUN),
    ("history", "payments:1"), ("holds",), ("levels",), ("performance", RUN), ("advise",), ("usage",), ("cost",),
    ("cost", RUN), ("audit",), ("audit", "verify"), ("tokens", "list"), ("events",), ("idmap", "backups"),
    ("erasures",), ("sync", "--dry-run"),
)  # fmt: skip
"""Those that start nothing and wait for nothing; RUN stands for a run."""
_WATCHED = """
import json, sys
from botocore.httpsession import URLLib3Session
from hybrid_sync_cli.main import main
sent, send = [], URLLib3Session.send
URLLib3Session.send = lambda *given: sent.append(given) or send(*given)
try:
    main()
finally:
    print(json.dumps({"requests": len(sent), "modules": sorted(sys.modules)}), file=sys.stderr)
"""


@dataclass(frozen=True)
class Watched:
    """What a command did in its process."""

    requests: int
    modules: frozenset[str]


@dataclass(frozen=True)
class Spent:
    cpu: float
    wall: float


def contest() -> int:
    """Print a table and a line of results; 1 where `--help` or a command takes more CPU than it may."""
    Stack.load()
    run = newest_run()
    watched = {asked: watch(of(asked, run)) for asked in ASKING}  # and all byte code is there now
    spent = {asked: typical(of(asked, run)) for asked in ASKING}
    help_ = typical(["--help"])
    print(f"{'command':28}{'CPU s':>8}{'wall s':>8}{'requests':>10}")
    print(f"{'--help':28}{help_.cpu:8.2f}{help_.wall:8.2f}{0:10}")
    for asked, one in sorted(spent.items(), key=lambda item: -item[1].wall):
        print(f"{' '.join(asked):28}{one.cpu:8.2f}{one.wall:8.2f}{watched[asked].requests:10}")
    cpu, wall = max(one.cpu for one in spent.values()), max(one.wall for one in spent.values())
    slowest = max(spent, key=lambda asked: spent[asked].wall)
    print(
        f"CLI help_cpu={help_.cpu:.2f} asks_cpu={cpu:.2f} asks_wall={wall:.2f} slowest={json.dumps(' '.join(slowest))}"
    )
    return int(help_.cpu > MOST_HELP_CPU or cpu > MOST_CPU)


def newest_run() -> str:
    """Of the stack that is up; CliError where it has none."""
    runs = json.loads(output(["status", "--limit", "1", "--json"]))
    if not runs:
        raise CliError("The stack has no run to ask about: hybrid-sync sync starts one.")
    return str(runs[0]["run_id"])


def of(asked: Sequence[str], run: str) -> list[str]:
    """The command's words, about this run."""
    return [run if word == RUN else word for word in asked]


def watch(words: Sequence[str]) -> Watched:
    """Carry it out with its requests counted; CliError where it fails."""
    done = subprocess.run([sys.executable, "-c", _WATCHED, *words], capture_output=True, text=True)
    if done.returncode:
        raise CliError(f"hybrid-sync {' '.join(words)} failed: {done.stderr.strip().splitlines()[0]}")
    said = json.loads(done.stderr.strip().splitlines()[-1])
    return Watched(said["requests"], frozenset(said["modules"]))


def typical(words: Sequence[str]) -> Spent:
    """Medians, with byte code that is there."""
    rounds = [_once(words) for _ in range(ROUNDS)]
    return Spent(median(one.cpu for one in rounds), median(one.wall for one in rounds))


def _once(words: Sequence[str]) -> Spent:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.monotonic()
    process = subprocess.Popen([PROGRAM, *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise CliError(f"hybrid-sync {' '.join(words)} failed.")
    return Spent(used.ru_utime + used.ru_stime, wall)


def output(words: Sequence[str]) -> str:
    """What the command prints; CliError where it fails."""
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True)
    if done.returncode:
        raise CliError(done.stderr.strip() or f"hybrid-sync {' '.join(words)} failed.")
    return done.stdout

"""A trial: named tests against a copy of the engine, in a process of their own, and how each of them ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import LENT
from tests.mutants import witness
from tests.mutants.mutant import ENGINE, ROOT, Mutant, copy_engine

SECONDS_PER_TEST = 60
"""What a trial may take, on a busy machine too; a mutant that waits for ever is no proof."""
_CLEARING_SECONDS = 30

# A patch that leaves broken code behind fails every test, whatever guard it was meant to take out.
_BROKEN = {
    "SyntaxError", "IndentationError", "NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError",
    "AttributeError", "UndefinedTable", "UndefinedColumn", "UndefinedParameter", "ProgrammingError",
}  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How one test ended: `passed`, `failed`, or `broken` when it failed for a reason that is no proof."""

    test: str
    how: str
    error: str


@dataclass(frozen=True)
class Trial:
    """How every test ended; `problem` says in one sentence why there is no result."""

    ended: tuple[Ended, ...] = ()
    problem: str = ""

    def killers(self, mutant: Mutant) -> list[str]:
        """Those of the mutant's tests that noticed, in at least one of their cases."""
        failed = [e.test for e in self.ended if e.how == "failed"]
        noticed = {*failed, *map(without_case, failed)}
        return [test for test in mutant.tests if test in noticed]

    @property
    def failures(self) -> list[Ended]:
        return [e for e in self.ended if e.how != "passed"]

    @property
    def broken(self) -> list[Ended]:
        return [e for e in self.ended if e.how == "broken"]


def try_mutant(mutant: Mutant | None, tests: Sequence[str], root: Path, servers: Path) -> Trial:
    """Run the tests against the engine in `root` without the mutant's guard; against the whole engine for None.

    `servers` is a home whose databases no other trial uses meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        copy_engine(root, copy)
        if mutant is not None:
            mutant.apply(copy)
        results = copy / "results.json"
        code, told = _pytest(tests, copy / ENGINE, results, servers)
        if code not in (0, 1) or not results.exists():
            return Trial(problem=told)
        ended = tuple(_ended(test, result) for test, result in json.loads(results.read_text()).items())
    return Trial(ended)


def _pytest(tests: Sequence[str], engine: Path, results: Path, servers: Path) -> tuple[int, str]:
    """pytest's exit code, and its last words."""
    # Importing hypothesis takes longer than most trials; tests that use it do so themselves.
    plugins = ["no:cacheprovider", "no:hypothesispytest", "no:xdist", witness.__name__]
    command = [sys.executable, "-m", "pytest", "-q", *(word for name in plugins for word in ("-p", name)), *tests]
    environment = {
        **os.environ, "PYTHONPATH": str(engine), witness.ENGINE: str(engine), witness.RESULTS: str(results),
        LENT: str(servers),
    }  # fmt: skip
    seconds = SECONDS_PER_TEST * (1 + len(tests))
    with (results.parent / "output.txt").open("w+b") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            _stop(process)
            return -1, f"The tests did not end within {seconds} seconds."
        except BaseException:
            _stop(process)
            raise
        output.seek(0)
        lines = output.read().decode(errors="replace").strip().splitlines()
    return process.returncode, lines[-1] if lines else "pytest said nothing."


def _stop(process: subprocess.Popen[bytes]) -> None:
    """As a person would with Ctrl-C, so that the databases of the tests are stopped too."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_CLEARING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _ended(test: str, result: dict[str, str]) -> Ended:
    error = result.get("error", "")
    if all(result.get(when) == "passed" for when in ("setup", "call", "teardown")):
        return Ended(test, "passed", "")
    proof = result.get("call") == "failed" and error not in _BROKEN
    return Ended(test, "failed" if proof else "broken", error)


def without_case(test: str) -> str:
    """The test's name without the case that it was run with."""
    return test.partition("[")[0]

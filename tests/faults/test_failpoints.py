"""Failpoints: off unless a test arms them in its own process, and every name is known."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

import hybrid_sync
from hybrid_sync import failpoints
from hybrid_sync.failpoints import Drop, Exit, FailpointRaised, Raise, Stall, UnknownFailpoint, armed, failpoint

ENGINE = Path(hybrid_sync.__file__).parent


def _calls(name: str) -> list[tuple[Path, ast.Call]]:
    """Every call of a function of this name in the engine."""
    found = []
    for file in ENGINE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                found.append((file, node))
    return found


def test_the_engine_has_a_hook_for_every_name_and_a_name_for_every_hook() -> None:
    hooks = {ast.literal_eval(call.args[0]) for _, call in _calls("failpoint")}
    assert hooks == set(failpoints.POINTS)


def test_nothing_in_the_engine_can_arm_a_failpoint() -> None:
    assert not [file for file, _ in _calls("armed") if file.name != "failpoints.py"]
    tree = ast.parse((ENGINE / "failpoints.py").read_text("utf-8"))
    assert not {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & {"environ", "getenv"}


def test_an_unarmed_failpoint_does_nothing_even_under_an_unknown_name() -> None:
    failpoint("batch.claimed")
    failpoint("no.such.place")


def test_unknown_names_are_refused_when_arming_and_when_reached() -> None:
    with pytest.raises(UnknownFailpoint), armed({"no.such.place": Raise()}):
        pass
    with armed({}), pytest.raises(UnknownFailpoint):
        failpoint("no.such.place")


def test_an_armed_failpoint_fires_once_and_the_others_are_only_counted() -> None:
    with armed({"batch.read": Raise()}) as points:
        failpoint("batch.claimed")
        with pytest.raises(FailpointRaised):
            failpoint("batch.read")
        failpoint("batch.read")
    assert points.passed == {"batch.claimed": 1, "batch.read": 2}
    assert points.fired == {"batch.read": 1}
    failpoint("batch.read")
    assert points.passed["batch.read"] == 2


def test_failpoints_cannot_be_armed_twice_at_the_same_time() -> None:
    with armed({}), pytest.raises(RuntimeError), armed({}):
        pass


def test_exit_ends_the_process_at_once() -> None:
    program = (
        "from hybrid_sync.failpoints import Exit, armed, failpoint\n"
        "try:\n"
        "    with armed({'run.recorded': Exit()}):\n"
        "        failpoint('run.recorded')\n"
        "finally:\n"
        "    print('cleaned up')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (failpoints.EXIT_CODE, "")
    assert Exit() == Exit()


def test_drop_cuts_the_wire_under_the_driver(legacy_db: str) -> None:
    with psycopg.connect(legacy_db, autocommit=True) as kept, psycopg.connect(legacy_db, autocommit=True) as cut:
        with armed({"batch.committed": Drop(1)}):
            failpoint("batch.committed", kept, cut)
        assert kept.execute("select 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError):
            cut.execute("select 1")


def test_a_stall_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with armed({"batch.committed": Stall(86_400.0)}):
        failpoint("batch.committed")
    assert slept == [failpoints.LONGEST_STALL]

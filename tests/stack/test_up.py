"""An `up` that is killed leaves nothing that the next command cannot clear; what it asks for is checked first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.home import StateFile
from hybrid_sync_cli.stack.processes import MARK, Processes
from hybrid_sync_cli.stack.up import purge, tear_down

Command = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A stack home for one test."""
    path = tmp_path / "home"
    monkeypatch.setenv("HYBRID_SYNC_HOME", str(path))
    monkeypatch.delenv("COLUMNS", raising=False)  # a pipe has no edge
    yield home.directory()
    purge(Processes(path), StateFile(path / "keep.json"))


@pytest.fixture
def command(place: Path) -> Command:
    """Start `hybrid-sync …` on that home."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        program = "import sys; from hybrid_sync_cli.main import main; main(sys.argv[1:])"
        return subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            env=dict(os.environ),  # without what readline has told the system of this process's terminal
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


def told(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in out + err
    return process.returncode, err.strip()


def survivors(place: Path) -> list[psutil.Process]:
    """Everything that belongs to the home: by its mark, or by working in its database folders."""
    data = [str(home.reachable(place) / side / "data") for side in ("legacy", "target")]
    found = Processes(place).marked()
    for process in psutil.process_iter(["cmdline"]):
        if any(part in data for part in process.info["cmdline"] or []):
            found.append(process)
    return found


@pytest.mark.parametrize("moment", ["run/legacy.pid", "run/aws.pid", "logs/sam-build.log"])
def test_a_killed_up_is_cleared_by_the_next_command(place: Path, command: Command, moment: str) -> None:
    up = command("up")
    while not (place / moment).exists():
        assert up.poll() is None, up.communicate()
        time.sleep(0.01)
    os.killpg(up.pid, signal.SIGKILL)
    up.communicate()
    tear_down(Processes(place), StateFile(place / "keep.json"))
    assert survivors(place) == []


def test_a_process_that_was_never_recorded_is_found_by_its_mark(place: Path) -> None:
    lost = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={MARK: str(place)})
    tear_down(Processes(place), StateFile(place / "keep.json"))
    assert lost.wait(timeout=10) != 0
    lost.communicate()


def test_a_reused_pid_is_not_mistaken_for_ours(place: Path) -> None:
    processes = Processes(place)
    home.write_private(place / "run" / "aws.pid", f"{os.getpid()} 1.0")
    assert processes.recorded("aws") is None
    processes.stop("aws")


def test_without_a_stack_env_says_what_to_do(command: Command) -> None:
    assert told(command("env")) == (
        1,
        "hybrid-sync: No stack is running here: run hybrid-sync up, or name a deployment with --stack.",
    )


def test_a_wrong_dsn_is_one_sentence_and_starts_nothing(place: Path, command: Command) -> None:
    status, said = told(command("up", "--legacy-dsn", "postgresql://a:secret@127.0.0.1:1/x"))
    assert status == 1
    assert "The legacy database cannot be reached" in said
    assert "check --legacy-dsn" in said
    assert "secret" not in said
    assert survivors(place) == []


@pytest.mark.parametrize("option", ["--legacy-dsn", "--target-dsn"])
def test_an_empty_dsn_is_refused_and_starts_nothing(place: Path, command: Command, option: str) -> None:
    status, said = told(command("up", option, ""))
    assert (status, said.startswith(f"hybrid-sync: {option} is empty: ")) == (1, True)
    assert survivors(place) == []


def test_databases_that_were_named_last_time_are_not_left_for_our_own_in_silence(place: Path, command: Command) -> None:
    StateFile(place / "keep.json").put("wishes", {"legacy": "postgresql://a:secret@127.0.0.1:1/x", "target": None})
    status, said = told(command("up"))
    assert status == 1
    assert "give --legacy-dsn again, or run hybrid-sync down first" in said
    assert "secret" not in said
    assert survivors(place) == []
    assert told(command("down"))[0] == 0
    assert StateFile(place / "keep.json").get("wishes") is None


def test_a_home_that_takes_no_file_is_one_sentence(
    place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    # /sys refuses new folders to root, too.
    monkeypatch.setenv("HYBRID_SYNC_HOME", "/sys/hybrid-sync")
    status, said = told(command("status"))
    assert (status, said.count("\n")) == (1, 0)
    assert "set HYBRID_SYNC_HOME to a folder that may be written" in said


def test_a_taken_port_is_one_sentence_and_starts_nothing(place: Path, command: Command) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        status, said = told(command("up", "--aws-port", str(port)))
    assert status == 1
    assert said.endswith(f"Port {port} is taken by another program: give --aws-port another one, or leave it out.")
    assert survivors(place) == []


def test_only_one_up_works_at_a_time(place: Path, command: Command) -> None:
    with home.only_one():
        status, said = told(command("down"))
    assert status == 1
    assert "Another hybrid-sync up or down is at work" in said


def test_an_unexpected_failure_is_told_in_a_sentence_with_its_file(place: Path, command: Command) -> None:
    home.write_private(place / "keep.json", "no json")
    status, said = told(command("down"))
    assert status == 1
    path = Path(said.rpartition(" ")[2].rstrip("."))
    assert "Traceback" in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    (place / "keep.json").write_text(json.dumps({}))

"""One demo for all tests here: a stack of its own, run once through the command that people type."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hybrid_sync_cli.emulator.refusals import unexpected
from hybrid_sync_cli.stack import Stack
from hybrid_sync_cli.stack.aws import Aws
from hybrid_sync_cli.stack.home import StateFile
from hybrid_sync_cli.stack.processes import Processes
from hybrid_sync_cli.stack.up import purge

PROGRAM = "import sys; from hybrid_sync_cli.main import main; main(sys.argv[1:])"


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Demo:
    """The stack that a demo left up, and its RESULT."""

    place: Path
    ended: Ended
    stack: Stack

    @property
    def result(self) -> dict[str, Any]:
        return dict(json.loads(self.file.read_text("utf-8")))

    @property
    def file(self) -> Path:
        """The one that the last line of its kind names."""
        line = [line for line in self.ended.out.splitlines() if line.startswith("RESULT ")][-1]
        return Path(line.partition(" file=")[2])

    def command(self, *words: str) -> Ended:
        return command(self.place, *words)

    def legacy(self, query: str) -> list[tuple[Any, ...]]:
        return _rows(self.stack.legacy_dsn, query)

    def target(self, query: str) -> list[tuple[Any, ...]]:
        return _rows(self.stack.target_dsn, query)


def command(place: Path, *words: str) -> Ended:
    """Run `hybrid-sync …` on the stack in `place`."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env={**os.environ, "HYBRID_SYNC_HOME": str(place), "CI": "true"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def _rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`hybrid-sync demo` on a home of its own, as in continuous integration: everything is gone afterwards.

    AWS would have refused whatever was refused meanwhile.
    """
    place = tmp_path_factory.mktemp("demo") / "home"
    try:
        ended = command(place, "demo")
        assert ended.status in (0, 1), ended.err
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HYBRID_SYNC_HOME", str(place))
            stack = Stack.load()
        yield Demo(place, ended, stack)
        assert unexpected(Aws(Processes(place)).refusals) == []
    finally:
        purge(Processes(place), StateFile(place / "keep.json"))

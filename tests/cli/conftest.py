"""The operator's command against a target with hand-written runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hybrid_sync_cli.main import main
from hybrid_sync_cli.stack import Stack, home
from hybrid_sync_cli.stack.processes import Processes
from tests.report.records import create_schema


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    status: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def hybrid_sync(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Call with a command line; there is no stack unless the test asks for one."""
    monkeypatch.setenv("HYBRID_SYNC_HOME", str(tmp_path))

    def run(*words: str) -> Said:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        printed = capsys.readouterr()
        return Said(int(ended.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def stack(target_db: str, hybrid_sync: Command) -> Stack:
    """A stack of which only the target is there; this process stands for its AWS."""
    Processes(home.directory()).record("aws", os.getpid())
    described = Stack(
        legacy_dsn="", target_dsn=target_db, worker_legacy_dsn="", worker_target_dsn="", supabase_url="",
        supabase_anon_key="", supabase_service_key="", aws_endpoint_url="http://127.0.0.1:1", api_url="",
        region="us-east-1", outputs={}, owned=True,
    )  # fmt: skip
    described.save()
    return described


@pytest.fixture
def store(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    """The stack's run store, empty."""
    with psycopg.connect(stack.target_dsn, autocommit=True) as connection:
        create_schema(connection)
        yield connection

"""The operator's command against a target with hand-written runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hybrid_sync.catalog.load import load
from hybrid_sync_cli.main import main
from hybrid_sync_cli.stack import Stack, home
from hybrid_sync_cli.stack.processes import Processes
from tests.cli.gateway import Desk, gateway
from tests.report.records import create_schema


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    status: int
    out: str
    err: str


Command = Callable[..., Said]


def say(capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    """`hybrid-sync` with these words, in this process."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    printed = capsys.readouterr()
    return Said(int(ended.value.code or 0), printed.out, printed.err)


@pytest.fixture
def hybrid_sync(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Call with a command line; there is no stack unless the test asks for one."""
    monkeypatch.setenv("HYBRID_SYNC_HOME", str(tmp_path))
    monkeypatch.delenv("COLUMNS", raising=False)  # a file keeps lines whole

    def run(*words: str) -> Said:
        return say(capsys, *words)

    return run


@pytest.fixture
def desk(target_db: str) -> Desk:
    """A deployment of which only the target is there."""
    return Desk(load(home.project_root() / "layers" / "catalog"), target_db)


@pytest.fixture
def stack(desk: Desk, hybrid_sync: Command) -> Iterator[Stack]:
    """The same as the stack on this machine; this process stands for its AWS."""
    with gateway(desk) as address:
        yield announce(address, desk.target_dsn)


def announce(address: str, target_dsn: str) -> Stack:
    """Let the commands find the stack at this address."""
    Processes(home.directory()).record("aws", os.getpid())
    described = Stack(
        legacy_dsn="", target_dsn=target_dsn, worker_legacy_dsn="", worker_target_dsn="", supabase_url="",
        supabase_anon_key="", supabase_service_key="", aws_endpoint_url=address, api_url="",
        region="us-east-1", outputs={"ApiId": "abc", "ApiUrl": ""}, owned=True,
    )  # fmt: skip
    described.save()
    return described


@pytest.fixture
def store(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    """The stack's run store, empty."""
    with psycopg.connect(stack.target_dsn, autocommit=True) as connection:
        create_schema(connection)
        yield connection

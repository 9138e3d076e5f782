"""A server that restarts, a folder that may not be written and a disk that takes nothing are one sentence each."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from hybrid_sync_cli.deployment.location import Location
from hybrid_sync_cli.deployment.outputs import outputs
from hybrid_sync_cli.main import _database, _disk
from hybrid_sync_cli.stack import Stack, home
from tests.cli.conftest import Command


def test_a_server_that_restarts_in_mid_command_is_one_sentence(target_db: str) -> None:
    with psycopg.connect(target_db, autocommit=True) as connection, pytest.raises(psycopg.OperationalError) as ended:
        connection.execute("select pg_terminate_backend(pg_backend_pid())")

    said = _database(ended.value)

    assert said.startswith("A database of the stack broke off (AdminShutdown): it restarts, or is down;")
    assert "\n" not in said and _database(ValueError("x")) == ""


def test_a_server_that_is_down_is_one_sentence(stack: Stack, hybrid_sync: Command) -> None:
    replace(stack, legacy_dsn="postgresql://nobody@127.0.0.1:1/x").save()

    said = hybrid_sync("mutate")

    assert (said.status, said.err.count("\n")) == (1, 1), said
    assert "Traceback" not in said.err and "crash-" not in said.err


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_what_cannot_be_written_says_what_and_what_to_do(number: int) -> None:
    said = _disk(OSError(number, os.strerror(number), "/home/ann/.hybrid-sync/keep.json"))

    assert said.startswith(
        f"/home/ann/.hybrid-sync/keep.json cannot be written ({os.strerror(number)}): free some space"
    )
    assert _disk(OSError(errno.EIO, "x")) == ""


def test_where_nothing_can_be_kept_a_deployment_is_asked_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HYBRID_SYNC_HOME", str(tmp_path / "file" / "home"))
    (tmp_path / "file").write_text("nobody, not even root, can make a folder in a file")
    told = {"Outputs": [{"OutputKey": "ApiUrl", "OutputValue": "https://api.example.com"}]}
    monkeypatch.setattr("hybrid_sync_cli.deployment.outputs.described", lambda _: told)

    location = Location("clinic", "us-east-1", "http://127.0.0.1:1", profile="x")

    assert outputs(location) == outputs(location) == {"ApiUrl": "https://api.example.com"}


def test_a_home_that_is_private_is_not_written_to_be_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HYBRID_SYNC_HOME", str(tmp_path / "home"))
    assert home.directory().stat().st_mode & 0o777 == 0o700

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "chmod", refuse)
    assert home.directory() == (tmp_path / "home").resolve()


@pytest.mark.parametrize("home", ["file", "file/home", "~nobody-has-this-name/home", "circle/home"])
def test_a_home_that_can_be_no_folder_is_one_sentence(
    home: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hybrid_sync: Command
) -> None:
    (tmp_path / "file").write_text("nobody, not even root, can make a folder in a file")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    monkeypatch.setenv("HYBRID_SYNC_HOME", home if home.startswith("~") else str(tmp_path / home))

    said = hybrid_sync("status")

    assert (said.status, said.err.count("\n")) == (1, 1), said
    assert "set HYBRID_SYNC_HOME to a folder" in said.err

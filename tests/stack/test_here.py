"""`run --here` beside a deployment: its slots, its secrets' offline copy, and no need of AWS at all."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hybrid_sync_cli.stack import Stack
from tests.cli.conftest import Said, say
from tests.drills.workers import recycle
from tests.stack.world import fill

ENTITY = "offices"
Ask = Callable[..., Said]
_MAIN = """
import sys
import botocore.session
from hybrid_sync_cli.main import main

def nobody(*_, **__):
    raise AssertionError("AWS was asked")

botocore.session.Session.__init__ = nobody
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def synced(deployed: Stack) -> Stack:
    fill(deployed)
    return deployed


@pytest.fixture
def ask(synced: Stack, capsys: pytest.CaptureFixture[str]) -> Ask:
    return lambda *words: say(capsys, *words)


@pytest.fixture
def copy(ask: Ask, tmp_path: Path) -> Path:
    file = tmp_path / "kept" / "secret.json"
    said = ask("install", "--offline-secret", str(file))
    assert said.status == 0, said.err
    held = json.loads(file.read_text("utf-8"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not any(value in said.out + said.err for value in held.values())
    return file


def without_aws(*words: str) -> Said:
    """In a process of its own that has no credentials, knows of no stack, and fails where it turns to AWS."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", _MAIN, *words], capture_output=True, text=True, check=False, timeout=300,
        env={**kept, "HYBRID_SYNC_HOME": str(Path(words[-1]).parent), "AWS_EC2_METADATA_DISABLED": "true"},
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)


def test_a_run_needs_no_aws_and_the_deployment_shows_it(synced: Stack, ask: Ask, copy: Path) -> None:
    with psycopg.connect(synced.legacy_dsn) as legacy:
        legacy.execute("update dispatch_office set city = city || '!' where id = (select min(id) from dispatch_office)")
    why = ("--override-lease", "AWS is away")
    said = without_aws("run", "--here", *why, "--entity", ENTITY, "--profile", "daily", "--secret", str(copy))
    assert said.status == 0, said.err
    run_id = said.out.split()[1]
    shown = ask("report", run_id, "--format", "json")
    assert json.loads(shown.out)["status"] == "succeeded"
    trail = ask("audit", "--json").out
    assert run_id in trail and "AWS is away" in trail
    assert without_aws("rollback", "--here", run_id, "--secret", str(copy)).status == 0
    assert ask("release", ENTITY).status == 0
    assert ask("sync", "--entity", ENTITY, "--profile", "daily").status == 0


def test_without_a_word_why_the_deployment_starts_nothing_meanwhile(synced: Stack, ask: Ask, copy: Path) -> None:
    words = ("--entity", ENTITY, "--profile", "daily", "--secret", str(copy))
    assert ask("run", "--here", *words).status == 0
    assert "paused" not in ask("syncs").out
    alone = without_aws("run", "--here", *words)
    assert alone.status == 1
    assert "No slot can be taken: No stack is running here" in alone.err and "--override-lease WHY" in alone.err
    ask("pause", "--why", "a person's own")
    assert ask("run", "--here", *words).status == 0
    assert "a person's own" in ask("syncs").out
    ask("resume")


def test_a_lost_id_secret_stops_runs_and_its_copy_lets_them_begin_again(synced: Stack, ask: Ask, copy: Path) -> None:
    sync = ("sync", "--entity", ENTITY, "--profile", "daily")
    assert ask(*sync).status == 0
    with id_secret(synced, "a new one, made by somebody"):
        refused = ask(*sync)
        assert refused.status == 1
        assert "The id secret is not the one under which the ids of this target are made." in refused.out + refused.err
        other = copy.with_name("other.json")
        other.touch(mode=0o600)
        other.write_text(json.dumps(json.loads(copy.read_text("utf-8")) | {"id_secret": "a third one"}), "utf-8")
        here = without_aws("run", "--here", "--override-lease", "AWS is away", *sync[1:], "--secret", str(other))
        assert (here.status, "The id secret is not the one" in here.err) == (1, True)
        assert ask("install", "--restore-secret", str(copy)).status == 0
        assert ask(*sync).status == 0


@contextmanager
def id_secret(stack: Stack, value: str) -> Iterator[None]:
    """Somebody has put another one in its place, and no worker has ever known the right one."""
    client: Any = stack.client("secretsmanager")
    name = stack.outputs["ConnectionSecret"]
    before = client.get_secret_value(SecretId=name)["SecretString"]
    client.put_secret_value(SecretId=name, SecretString=json.dumps(json.loads(before) | {"id_secret": value}))
    client.put_secret_value(SecretId=stack.outputs["IdSecret"], SecretString=value)
    recycle(stack)
    try:
        yield
    finally:
        client.put_secret_value(SecretId=name, SecretString=before)
        client.put_secret_value(
            SecretId=stack.outputs["IdSecret"], SecretString=json.loads(before)["id_secret"]
        )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run",), "Say --here"),
        (("run", "--here", "--override-lease", "x"), "HYBRID_SYNC_TARGET_DSN, HYBRID_SYNC_ID_SECRET"),
        (("run", "--here", "--secret", "/nowhere"), "/nowhere cannot be read"),
        (("rollback", "x", "--secret", "/nowhere"), "are for --here"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_in_one_sentence(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LEGACY_DSN", "TARGET_DSN", "ID_SECRET"):
        monkeypatch.delenv(f"HYBRID_SYNC_{name}", raising=False)
    said = say(capsys, *words)
    assert said.status == 1 and sentence in " ".join(said.err.split())


def test_a_copy_that_others_may_read_is_not_used(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "secret.json"
    file.write_text("{}", "utf-8")
    file.chmod(0o644)
    said = say(capsys, "run", "--here", "--secret", str(file))
    assert said.status == 1 and "Others may read" in said.err

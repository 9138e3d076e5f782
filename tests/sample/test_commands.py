"""`sample` and `mutate` act on the stack's own databases only, and tell what they did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hybrid_sync.schema.install import install
from hybrid_sync_cli.commands.sample import mutate, sample
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import Stack
from tests.sample.conftest import one


def _stack(legacy: str, target: str, *, owned: bool = True) -> Stack:
    return Stack(legacy, target, legacy, target, "", "", "", "", "", "us-east-1", {}, owned)


def _use(monkeypatch: pytest.MonkeyPatch, stack: Stack) -> None:
    monkeypatch.setattr(Stack, "load", classmethod(lambda _: stack))


def test_without_a_stack_the_sentence_says_how_to_start_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRID_SYNC_HOME", str(tmp_path))
    result = CliRunner().invoke(sample, [])
    assert isinstance(result.exception, CliError)
    assert str(result.exception) == "No stack is running here: run hybrid-sync up, or name a deployment with --stack."


@pytest.mark.parametrize("command", [sample, mutate], ids=["sample", "mutate"])
def test_databases_that_a_person_brought_are_never_touched(
    command: object, legacy_db: str, target_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(monkeypatch, _stack(legacy_db, target_db, owned=False))
    result = CliRunner().invoke(command, [])  # type: ignore[arg-type]
    assert isinstance(result.exception, CliError)
    assert "databases of your own" in str(result.exception)
    assert one(legacy_db, "select count(*) from pg_class where relnamespace = 'public'::regnamespace") == 0


def test_a_world_and_its_week_are_told_as_tables_and_as_json(
    legacy_db: str, target_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(target_db, worker_password="only-for-tests")  # as `up` does before anything is sampled
    _use(monkeypatch, _stack(legacy_db, target_db))
    made = CliRunner().invoke(sample, ["--scale", "0.001", "--json"])
    assert json.loads(made.output)["legacy"]["dispatch_payment"] >= 100
    week = CliRunner().invoke(mutate, ["--json"])
    assert json.loads(week.output)["tables"]["dispatch_payment"]["updated"]
    told = CliRunner().invoke(mutate, ["--seed", "2"])
    assert told.exit_code == 0
    assert "payments cancelled after their purchase" in told.output
    assert "rows changed; the next run has" in told.output

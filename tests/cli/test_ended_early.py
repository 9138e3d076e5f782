"""A command that is ended early, or asked for what cannot be, says so in one sentence and fails."""

from __future__ import annotations

import signal

import pytest

from hybrid_sync_cli.commands import jobs
from hybrid_sync_cli.exits import although, exit_of
from tests.cli.conftest import Command


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_a_command_early_is_an_interrupt(
    hybrid_sync: Command, monkeypatch: pytest.MonkeyPatch, kind: signal.Signals
) -> None:
    monkeypatch.setattr(jobs.Deployment, "chosen", lambda: signal.raise_signal(kind))
    # In a background process interrupts are ignored from the start, and under nohup the end of its terminal.
    usual = {
        signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL,
    }  # fmt: skip
    before = {one: signal.signal(one, handler) for one, handler in usual.items()}
    try:
        said = hybrid_sync("cancel", "weekly-1")
        after = {one: signal.getsignal(one) for one in usual}
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert (said.status, said.err.strip()) == (130, "hybrid-sync: interrupted.")
    assert after == usual


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("logs", ""), "run_id"),
        (("logs", "x'; drop table"), "run_id"),
        (("cancel", ""), "run_id"),
        (("cancel", "x" * 300), "run_id"),
        (("performance", "x" * 300), "run_id"),
        (("erase", "--yes", "patients:99999999999999999999"), "key.0"),
    ],
)
def test_what_cannot_be_asked_for_is_said_in_one_sentence(
    hybrid_sync: Command, words: tuple[str, ...], part: str
) -> None:
    said = hybrid_sync(*words)
    assert (said.status, said.out) == (1, "")
    sentence = " ".join(said.err.split())
    assert sentence.startswith(f"hybrid-sync: {part} cannot be asked for: ")
    assert "pattern" not in sentence, "a form is not told as a regular expression"
    assert sentence.endswith("`hybrid-sync COMMAND --help` says what it takes.")


@pytest.mark.parametrize("status", ["succeeded", "degraded"])
def test_a_run_that_went_well_in_an_execution_that_did_not_says_why_its_exit_status_is_one(status: str) -> None:
    assert exit_of(status, "failed") == 1
    assert although(status, "failed").startswith(f"The run is {status} all the same, and its execution failed after")
    assert (although(status, "succeeded"), although("failed", "failed")) == ("", "")

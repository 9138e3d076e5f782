"""What a Catch hands over becomes one code and one sentence."""

from __future__ import annotations

import json

import pytest

from hybrid_sync.contracts import RunFailure
from hybrid_sync.failures.cause import plain


def failure(error: str, cause: str) -> RunFailure:
    return RunFailure(run_id="weekly-1", entity="orders", state="SyncBatch", error=error, cause=cause)


def wrapped(error: str, message: str) -> RunFailure:
    return failure(error, json.dumps({"errorMessage": message, "errorType": error, "stackTrace": ["…"]}))


@pytest.mark.parametrize("error", ["TransientError", "PermanentError"])
def test_our_own_code_and_sentence_come_out_of_lambdas_json(error: str) -> None:
    found = plain(wrapped(error, "entity_held: Entity orders is held. Release it: now."))
    assert (found.error, found.cause) == ("entity_held", "Entity orders is held. Release it: now.")
    assert (found.run_id, found.entity, found.state) == ("weekly-1", "orders", "SyncBatch")


@pytest.mark.parametrize(
    ("given", "error", "cause"),
    [
        (wrapped("Runtime.ExitError", "RequestId: 1 Error: exit status 137"), "Runtime.ExitError", "exit status 137"),
        (failure("States.Timeout", ""), "States.Timeout", ""),
        (failure("States.ItemReaderFailed", "The object is too large."), "States.ItemReaderFailed", "too large"),
        (failure("Odd", "[1, 2]"), "Odd", "[1, 2]"),
        (wrapped("PermanentError", "no code here"), "PermanentError", "no code here"),
    ],
)
def test_what_aws_says_is_kept(given: RunFailure, error: str, cause: str) -> None:
    found = plain(given)
    assert found.error == error
    assert cause in found.cause


def test_a_long_story_is_shortened() -> None:
    assert len(plain(failure("States.TaskFailed", "x" * 100_000)).cause) == 1_000
    assert len(plain(wrapped("PermanentError", "code: " + "x" * 100_000)).cause) == 1_000

"""What a Catch of the state machine hands over, reduced to one sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from hybrid_sync.contracts import RunFailure

_LONGEST = 1_000
# A Catch on States.ALL lets these two pass (Step Functions guide, "Error names"): the execution ends at once.
UNCAUGHT = {
    "States.DataLimitExceeded": "A state was given or returned more than the 256 KiB that Step Functions lets pass."
    " That is a fault of hybrid-sync, which repeating the run meets again: report it with this sentence.",
    "States.Runtime": "Step Functions could not go on with what a state was given, or after 25,000 events. That is a"
    " fault of hybrid-sync: report it with this sentence.",
}
_STATE = re.compile(r"state(?:/task)? '([^']+)'")


def plain(failure: RunFailure) -> RunFailure:
    """The failure with our own code and sentence in place of Lambda's JSON.

    Lambda wraps the message of our errors in {"errorMessage", "errorType", …};
    our messages read "code: sentence remedy".  What AWS itself says (a time-out, a limit) is kept, shortened.  What no
    Catch sees is described in our words, with the state that AWS names.
    """
    text = failure.cause
    if failure.error in UNCAUGHT:
        named = _STATE.search(text)
        return failure.model_copy(
            update={"cause": UNCAUGHT[failure.error], "state": named[1] if named else failure.state}
        )
    try:
        wrapped = json.loads(text)
    except ValueError:
        return failure.model_copy(update={"cause": text[:_LONGEST]})
    message = str(wrapped.get("errorMessage", "")) if isinstance(wrapped, dict) else ""
    code, colon, sentence = message.partition(": ")
    if failure.error in ("TransientError", "ThrottledError", "AwayError", "PermanentError") and colon:
        return failure.model_copy(update={"error": code, "cause": sentence[:_LONGEST]})
    return failure.model_copy(update={"cause": (message or text)[:_LONGEST]})


def of_execution(ask: Callable[[str], RunFailure | None]) -> Callable[[str], RunFailure | None]:
    """What ended the execution of a run, as `ask` reports it, in the same words."""

    def why(run_id: str) -> RunFailure | None:
        found = ask(run_id)
        return None if found is None else plain(found)

    return why

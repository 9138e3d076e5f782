"""What a Catch of the state machine hands over, reduced to one sentence."""

from __future__ import annotations

import json

from hybrid_sync.contracts import RunFailure

_LONGEST = 1_000


def plain(failure: RunFailure) -> RunFailure:
    """The failure with our own code and sentence in place of Lambda's JSON.

    Lambda wraps the message of our three errors in {"errorMessage", "errorType", …};
    our messages read "code: sentence remedy".  What AWS itself says (a time-out, a limit) is kept, shortened.
    """
    text = failure.cause
    try:
        wrapped = json.loads(text)
    except ValueError:
        return failure.model_copy(update={"cause": text[:_LONGEST]})
    message = str(wrapped.get("errorMessage", "")) if isinstance(wrapped, dict) else ""
    code, colon, sentence = message.partition(": ")
    if failure.error in ("TransientError", "ThrottledError", "PermanentError") and colon:
        return failure.model_copy(update={"error": code, "cause": sentence[:_LONGEST]})
    return failure.model_copy(update={"cause": (message or text)[:_LONGEST]})

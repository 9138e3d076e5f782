"""The function that undoes runs, called from another one that has less time."""

from __future__ import annotations

import json

from botocore.exceptions import ReadTimeoutError

from hybrid_sync.aws import Client, refusals
from hybrid_sync.contracts import RollbackOutcome, RollbackTask
from hybrid_sync.errors import Contention, RequestRejected


class UndoFunction:
    """One function, by name or ARN; `client` waits for at most as long as its caller may take."""

    def __init__(self, name: str, client: Client) -> None:
        self._name = name
        self._client = client

    def some(self, task: RollbackTask) -> RollbackOutcome | None:
        """A part of it; None where that takes longer than we may wait, and goes on.

        Contention where the same call may succeed later, else RequestRejected in the function's own words.
        """
        with refusals("the function that undoes runs"):
            try:
                answer = self._client.invoke(FunctionName=self._name, Payload=task.model_dump_json().encode())
                outcome = json.loads(answer["Payload"].read())
            except ReadTimeoutError:
                return None
        if "FunctionError" not in answer:
            return RollbackOutcome.model_validate(outcome)
        code, _, sentence = str(outcome.get("errorMessage", "")).partition(": ")
        if outcome.get("errorType") in ("TransientError", "ThrottledError", "AwayError"):
            raise Contention(sentence or code)
        raise RequestRejected(sentence or code or "The function that undoes runs failed: see its log.")

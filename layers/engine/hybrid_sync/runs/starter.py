"""Starting runs and asking how they go, through the state machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from hybrid_sync.aws import Client, refusals
from hybrid_sync.contracts import RunRequest
from hybrid_sync.errors import RequestConflicts, RunNotFound

STATUSES = {
    "RUNNING": "running",
    "PENDING_REDRIVE": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "TIMED_OUT": "lost",
    "ABORTED": "cancelled",
}
"""What we call the state of an execution."""
_MOST_LISTED = 1_000


@dataclass(frozen=True)
class RunState:
    """How far an execution is: running, succeeded, failed, cancelled by a person, or lost with its time limit."""

    run_id: str
    status: str
    started_at: datetime
    finished_at: datetime | None
    why: str = ""
    """Error and cause of an execution that failed, where Step Functions tells them."""


def _state(run_id: str, execution: dict[str, Any]) -> RunState:
    why = ": ".join(part for part in (execution.get("error"), execution.get("cause")) if part)
    return RunState(run_id, STATUSES[execution["status"]], execution["startDate"], execution.get("stopDate"), why)


class RunStarter:
    """One state machine, given by its ARN."""

    def __init__(self, state_machine: str, client: Client) -> None:
        self._machine = state_machine
        self._client = client

    def start(self, request: RunRequest, name: str) -> str:
        """Start the run called `name` and return its id; the same request and name start only one.

        Raises RequestConflicts when the name belongs to another request.
        """
        text = request.model_dump_json(exclude={"run_id"})
        with refusals("the state machine"):
            try:
                self._client.start_execution(stateMachineArn=self._machine, name=name, input=text)
                return name
            except ClientError as error:
                if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                    raise
        # It has this name with other input, or has ended.
        if json.loads(self._describe(name)["input"]) != json.loads(text):
            raise RequestConflicts(
                "This idempotency key was used for a different request.", "Send a new Idempotency-Key."
            )
        return name

    def state(self, run_id: str) -> RunState:
        """Raises RunNotFound, also for runs that Step Functions has forgotten (after 90 days)."""
        return _state(run_id, self._describe(run_id))

    def recent(self, limit: int) -> list[RunState]:
        """The runs that began last, as far as Step Functions remembers (90 days)."""
        with refusals("the state machine"):
            found = self._client.list_executions(stateMachineArn=self._machine, maxResults=min(limit, _MOST_LISTED))
        return [_state(execution["name"], execution) for execution in found["executions"]]

    def status(self, run_id: str) -> str | None:
        """The word for how its execution stands; None when Step Functions does not know it."""
        try:
            return self.state(run_id).status
        except RunNotFound:
            return None

    def _describe(self, run_id: str) -> dict[str, Any]:
        arn = f"{self._machine.replace(':stateMachine:', ':execution:')}:{run_id}"
        with refusals("the state machine"):
            try:
                return dict(self._client.describe_execution(executionArn=arn))
            except ClientError as error:
                if error.response["Error"]["Code"] not in ("ExecutionDoesNotExist", "InvalidArn"):
                    raise
        raise RunNotFound(f"There is no run {run_id}.", "Ask for the run_id that POST /v1/syncs returned.")

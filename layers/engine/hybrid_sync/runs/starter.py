"""Starting runs and asking how they go, through the state machine."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from hybrid_sync.aws import Client, refusals
from hybrid_sync.contracts import Message, RunFailure
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import RequestRejected, RunNotFound, no_such_run
from hybrid_sync.runs.said import said

STATUSES = {
    "RUNNING": "running",
    "PENDING_REDRIVE": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "TIMED_OUT": "lost",
    "ABORTED": "cancelled",
}
"""What we call the state of an execution."""
MOST_BYTES = 200_000
"""Of a request: a state may carry 262,144, this and what the flow adds to it; beyond that no Catch sees the error."""
_MOST_LISTED = 1_000
_UNKNOWN = ("ExecutionDoesNotExist", "InvalidArn")
_INVALID = ("InvalidExecutionInput", "InvalidName", "ValidationException")


@dataclass(frozen=True)
class RunState:
    """How far an execution is: running, succeeded, failed, cancelled by a person, or lost with its time limit."""

    run_id: str
    status: str
    started_at: datetime
    finished_at: datetime | None
    why: str = ""
    """Error and cause of an execution that failed, where Step Functions reports them."""
    output: str = ""
    """JSON, of one that succeeded."""


def _state(run_id: str, execution: dict[str, Any]) -> RunState:
    why = ": ".join(part for part in (execution.get("error"), execution.get("cause")) if part)
    return RunState(
        run_id, STATUSES[execution["status"]], execution["startDate"], execution.get("stopDate"), why,
        execution.get("output", ""),
    )  # fmt: skip


class RunStarter:
    """One state machine, given by its ARN."""

    def __init__(self, state_machine: str, client: Client) -> None:
        self._machine = state_machine
        self._client = client

    def begin(self, request: Message, name: str) -> None:
        """Start the run called `name`, or find that it is or was started: AWS takes a name once in 90 days.

        RequestRejected where no such request can be started by anybody; ConfigurationMissing where we may not;
        AwsUnavailable where it may have been started, or not.
        """
        text = json.dumps(said(request))
        if len(text.encode()) > MOST_BYTES:
            raise RequestRejected(
                f"The request has {len(text.encode()):,} bytes, and a run takes {MOST_BYTES:,}.", "Ask for less."
            )
        with refusals("the state machine"):
            try:
                self._client.start_execution(stateMachineArn=self._machine, name=name, input=text)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code in _INVALID:
                    raise RequestRejected(f"The state machine takes no such run ({code}).", "Ask for less.") from None
                if code != "ExecutionAlreadyExists":
                    raise

    def stop(self, name: str) -> bool:
        """Stop the run; False where nobody has started one of this name.  One that has ended stays as it is."""
        with refusals("the state machine"):
            try:
                self._client.stop_execution(executionArn=self._arn(name), error="Cancelled")
            except ClientError as error:
                if error.response["Error"]["Code"] not in _UNKNOWN:
                    raise
                return False
        return True

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

    def failure(self, run_id: str) -> RunFailure | None:
        """What ended an execution that failed, as Step Functions names it; None of any other."""
        try:
            found = self._describe(run_id)
        except RunNotFound:
            return None
        if STATUSES[found["status"]] != "failed":
            return None
        return RunFailure(run_id=run_id, error=found.get("error", ""), cause=found.get("cause", ""))

    def _arn(self, run_id: str) -> str:
        return f"{self._machine.replace(':stateMachine:', ':execution:')}:{run_id}"

    def _describe(self, run_id: str) -> dict[str, Any]:
        with refusals("the state machine"):
            try:
                return dict(self._client.describe_execution(executionArn=self._arn(run_id)))
            except ClientError as error:
                if error.response["Error"]["Code"] not in _UNKNOWN:
                    raise
        raise no_such_run(run_id)

"""The state machine as Step Functions keeps it, in virtual time: a name is taken once, and what runs is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from hybrid_sync.contracts import RunPriority, RunRequest

BEGAN = datetime(2026, 11, 29, tzinfo=UTC)


class TooManyRuns(AssertionError):
    """More executions run at once than may."""


@dataclass
class Execution:
    name: str
    text: str
    began: datetime
    ends: datetime
    ending: str
    status: str = "RUNNING"

    @property
    def critical(self) -> bool:
        return RunRequest.model_validate_json(self.text).priority is RunPriority.critical


@dataclass
class Service:
    """Executions end at the time that `lengths` gives them by their name, in the status that `endings` gives."""

    most: int
    lengths: dict[str, timedelta]
    endings: dict[str, str]
    like_the_emulator: bool
    now: datetime = BEGAN
    executions: dict[str, Execution] = field(default_factory=dict)

    def pass_to(self, moment: datetime) -> list[str]:
        """Let time pass; who has ended meanwhile."""
        self.now = moment
        ended = [e for e in self.running() if e.ends <= moment]
        for execution in ended:
            execution.status = execution.ending
        return [execution.name for execution in ended]

    def running(self) -> list[Execution]:
        return [execution for execution in self.executions.values() if execution.status == "RUNNING"]

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> dict[str, Any]:  # noqa: N803
        known = self.executions.get(name)
        if known is not None:
            same = known.status == "RUNNING" and known.text == input
            if same and not self.like_the_emulator:
                return {}
            raise refusal("ExecutionAlreadyExists", "StartExecution")
        length = self.lengths.get(name, timedelta(seconds=60))
        ending = self.endings.get(name, "SUCCEEDED")
        self.executions[name] = Execution(name, input, self.now, self.now + length, ending)
        running = self.running()
        if len(running) > self.most or sum(not e.critical for e in running) > self.most - 1:
            raise TooManyRuns([e.name for e in running])
        return {}

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803
        execution = self._known(executionArn, "DescribeExecution")
        return {"status": execution.status, "startDate": execution.began, "input": execution.text}

    def stop_execution(self, *, executionArn: str, error: str) -> dict[str, Any]:  # noqa: N803
        execution = self._known(executionArn, "StopExecution")
        if execution.status == "RUNNING":
            execution.status = "ABORTED"
        return {}

    def _known(self, arn: str, operation: str) -> Execution:
        execution = self.executions.get(arn.rpartition(":")[2])
        if execution is None:
            raise refusal("ExecutionDoesNotExist", operation)
        return execution


def refusal(code: str, operation: str) -> ClientError:
    """What AWS answers instead."""
    return ClientError({"Error": {"Code": code, "Message": ""}}, operation)

"""The state machine as Step Functions keeps it, in virtual time: a name is taken once, and what runs is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from hybrid_sync.admission.startable import STARTABLE
from hybrid_sync.contracts import RunPriority

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
    at_work: bool = True
    """False of one that was started by hand, until its first state lets it go on."""

    @property
    def critical(self) -> bool:
        return STARTABLE.validate_json(self.text).priority is RunPriority.critical


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
        """Those at work."""
        return [e for e in self.executions.values() if e.status == "RUNNING" and e.at_work]

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> dict[str, Any]:  # noqa: N803
        known = self.executions.get(name)
        if known is not None:
            same = known.status == "RUNNING" and known.text == input
            if same and not self.like_the_emulator:
                return {}
            raise refusal("ExecutionAlreadyExists", "StartExecution")
        self._begin(name, input)
        self._count()
        return {}

    def start_by_hand(self, name: str, text: str) -> None:
        """It runs, and has done nothing yet."""
        self._begin(name, text).at_work = False

    def let_in(self, name: str) -> None:
        """Its first state lets it go on."""
        execution = self.executions[name]
        if not execution.at_work:
            execution.at_work, execution.began, execution.ends = True, self.now, self.now + self._length(name)
            self._count()

    def _length(self, name: str) -> timedelta:
        return self.lengths.get(name, timedelta(seconds=60))

    def _begin(self, name: str, text: str) -> Execution:
        ending = self.endings.get(name, "SUCCEEDED")
        self.executions[name] = Execution(name, text, self.now, self.now + self._length(name), ending)
        return self.executions[name]

    def _count(self) -> None:
        running = self.running()
        if len(running) > self.most or sum(not e.critical for e in running) > self.most - 1:
            raise TooManyRuns([e.name for e in running])

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

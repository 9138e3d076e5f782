"""Runs that the target has no record of: what the state machine and the reports in S3 know of them.

A run that fails before it is planned, or while the target is away, is in no table; one whose execution was stopped
stands at work for ever.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from botocore.exceptions import BotoCoreError, ClientError

from hybrid_sync.report.document import Document
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.story import never_began
from hybrid_sync.runs.lost import end_lost_runs
from hybrid_sync.runs.starter import STATUSES
from hybrid_sync_cli.stack import Stack

_PAGE = 1_000
_REACHABLE = ("StateMachineArn", "DataBucket")


@dataclass(frozen=True)
class UnrecordedRun:
    """One run, from the state machine and its report in S3."""

    run_id: str
    status: str
    started_at: datetime
    finished_at: datetime | None
    report: dict[str, Any] | None
    """The JSON report; None where there is none."""

    @property
    def why(self) -> str:
        """What stood in the way of a run that never began."""
        failure = (self.report or {}).get("failure") or {}
        return f"{failure['code']}: {failure['text']}" if failure else ""

    @property
    def summary(self) -> RunSummary | None:
        """Of a run that was planned."""
        if self.report is None or "entities" not in self.report:
            return None
        return RunSummary.model_validate(self.report)

    @property
    def document(self) -> Document:
        """The report of a run that never began, or left none."""
        failure = (self.report or {}).get("failure") or {}
        text = f"Its execution ended as {self.status} and left no report." if not failure else str(failure["text"])
        return never_began(self.run_id, str(failure.get("code", self.status)), text)


def settle(stack: Stack, connection: psycopg.Connection[Any]) -> dict[str, str]:
    """End the runs of the target whose execution has ended without a word; what became of which.

    On databases of its own the stack is the only deployment, so an execution that nobody knows is lost at once.
    """
    if "StateMachineArn" not in stack.outputs:
        return {}

    def ask(run_id: str) -> str | None:
        state = _described(stack, run_id)
        return "lost" if state is None and stack.owned else state

    try:
        with connection.transaction():
            return end_lost_runs(connection, ask)
    except (BotoCoreError, ClientError, psycopg.errors.ReadOnlySqlTransaction):
        return {}  # status answers whatever is away


def unrecorded(stack: Stack, limit: int, known: Callable[[list[str]], set[str]]) -> list[UnrecordedRun]:
    """The newest runs that are not `known`; nothing where AWS does not answer.

    The state machine forgets an execution after 90 days, and the bucket keeps its report.
    """
    if any(name not in stack.outputs for name in _REACHABLE):
        return []
    try:
        found = {e["name"]: e for e in _executions(stack, limit)}
        kept = _reports(stack, limit)
        there = known([*found, *kept])
        run = [_unrecorded(stack, execution) for run_id, execution in found.items() if run_id not in there]
        left = [_kept(stack, run_id) for run_id in kept if run_id not in there and run_id not in found]
    except (BotoCoreError, ClientError):
        return []
    return [*run, *(one for one in left if one is not None)]


def find(stack: Stack, run_id: str) -> UnrecordedRun | None:
    """One run by its id; None where neither the state machine nor S3 knows it, or AWS does not answer."""
    if any(name not in stack.outputs for name in _REACHABLE):
        return None
    client = stack.client("stepfunctions")
    try:
        try:
            return _unrecorded(stack, client.describe_execution(executionArn=_arn(stack, run_id)))
        except (client.exceptions.ExecutionDoesNotExist, client.exceptions.InvalidArn):
            return _kept(stack, run_id)
    except (BotoCoreError, ClientError):
        return None


def _executions(stack: Stack, limit: int) -> list[dict[str, Any]]:
    found = stack.client("stepfunctions").list_executions(
        stateMachineArn=stack.outputs["StateMachineArn"], maxResults=min(limit, _PAGE)
    )
    return list(found["executions"])


def _reports(stack: Stack, limit: int) -> list[str]:
    """The run ids of the newest reports."""
    pages = (
        stack.client("s3")
        .get_paginator("list_objects_v2")
        .paginate(Bucket=stack.outputs["DataBucket"], Prefix="reports/")
    )
    files = [(o["LastModified"], o["Key"]) for page in pages for o in page.get("Contents", ()) if _is_report(o["Key"])]
    return [key.removeprefix("reports/").removesuffix(".json") for _, key in sorted(files, reverse=True)[:limit]]


def _is_report(key: str) -> bool:
    return key.endswith(".json")


def _kept(stack: Stack, run_id: str) -> UnrecordedRun | None:
    """A run of which nothing but its report is left."""
    client = stack.client("s3")
    try:
        answer = client.get_object(Bucket=stack.outputs["DataBucket"], Key=f"reports/{run_id}.json")
    except client.exceptions.NoSuchKey:
        return None
    report: dict[str, Any] = json.loads(answer["Body"].read())
    began = report.get("started_at")
    at = datetime.fromisoformat(str(began)) if began else answer["LastModified"]
    return UnrecordedRun(run_id, str(report.get("status", "failed")), at, answer["LastModified"], report)


def _unrecorded(stack: Stack, execution: dict[str, Any]) -> UnrecordedRun:
    run_id, status = str(execution["name"]), STATUSES.get(execution["status"], "failed")
    kept = _kept(stack, run_id) if status != "running" else None
    report = kept.report if kept else None
    if report is not None and status == "succeeded":
        status = str(report.get("status", status))
    return UnrecordedRun(run_id, status, execution["startDate"], execution.get("stopDate"), report)


def _described(stack: Stack, run_id: str) -> str | None:
    client = stack.client("stepfunctions")
    try:
        return STATUSES.get(client.describe_execution(executionArn=_arn(stack, run_id))["status"], "failed")
    except client.exceptions.ExecutionDoesNotExist:
        return None


def _arn(stack: Stack, run_id: str) -> str:
    return f"{stack.outputs['StateMachineArn'].replace(':stateMachine:', ':execution:')}:{run_id}"

"""Runs of which the target has no record, or a wrong one: the state machine and the reports in S3 know better."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import psycopg
import pytest
from moto import mock_aws

from hybrid_sync.report.render import to_json
from hybrid_sync.runs.manifest import S3Reports
from hybrid_sync.runs.starter import RunStarter
from hybrid_sync_cli.stack import Stack
from tests.cli.conftest import Command
from tests.cli.gateway import Desk
from tests.gate.table import control_table
from tests.report.records import add_run
from tests.report.summaries import run as summary

Store = psycopg.Connection[Any]
NEVER = {"run_id": "weekly-9", "status": "failed", "failure": {"code": "legacy_unavailable", "text": "Legacy is away."}}


@pytest.fixture
def aws(desk: Desk, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An emulated account with the deployment's state machine and bucket; a client of Step Functions."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="data")
        client = boto3.client("stepfunctions", region_name="us-east-1")
        made = client.create_state_machine(
            name="sync-run", definition="{}", roleArn="arn:aws:iam::123456789012:role/run"
        )
        desk.reports = S3Reports("data", s3)
        dynamodb = boto3.client("dynamodb", region_name="us-east-1")
        with control_table(dynamodb, "control") as table:
            desk.admit_by(RunStarter(made["stateMachineArn"], client), table, dynamodb)
            yield client


def begin(aws: Any, run_id: str) -> str:
    [machine] = aws.list_state_machines()["stateMachines"]
    return str(aws.start_execution(stateMachineArn=machine["stateMachineArn"], name=run_id, input="{}")["executionArn"])


def keep(report: dict[str, Any] | str, run_id: str) -> None:
    body = report if isinstance(report, str) else json.dumps(report)
    boto3.client("s3", region_name="us-east-1").put_object(Bucket="data", Key=f"reports/{run_id}.json", Body=body)


def claim(store: Store, desk: Desk) -> None:
    """As `install` does."""
    desk.deployment = "this one"
    store.execute("insert into hybrid_sync.deployment (name) values ('this one')")


def listed(hybrid_sync: Command) -> dict[str, str]:
    return {row["run_id"]: row["status"] for row in json.loads(hybrid_sync("status", "--json").out)}


def test_status_ends_what_was_stopped_and_what_has_no_execution(
    aws: Any, desk: Desk, store: Store, hybrid_sync: Command
) -> None:
    claim(store, desk)
    for run_id in ("stopped", "gone", "at-work"):
        add_run(store, run_id, "running")
    aws.stop_execution(executionArn=begin(aws, "stopped"))
    begin(aws, "at-work")

    said = hybrid_sync("status")

    assert "Run stopped is cancelled: its execution has ended without a report." in said.err
    assert "Run gone is lost" in said.err
    assert listed(hybrid_sync) == {"stopped": "cancelled", "gone": "lost", "at-work": "running"}
    assert dict(store.execute("select run_id, status from hybrid_sync.run").fetchall())["gone"] == "lost"


def test_in_a_target_of_nobody_a_run_without_an_execution_may_be_another_deployments(
    aws: Any, store: Store, hybrid_sync: Command
) -> None:
    add_run(store, "elsewhere", "running")
    store.execute("update hybrid_sync.run set deadline_at = now() + interval '1 hour'")

    assert listed(hybrid_sync) == {"elsewhere": "running"}


def test_a_run_that_was_stopped_before_it_was_planned_is_listed(aws: Any, store: Store, hybrid_sync: Command) -> None:
    aws.stop_execution(executionArn=begin(aws, "weekly-1"))
    begin(aws, "weekly-2")

    assert listed(hybrid_sync) == {"weekly-1": "cancelled", "weekly-2": "running"}
    assert "Run weekly-1: cancelled; the target has no record of it." in hybrid_sync("status", "weekly-1").out


def test_a_run_that_never_began_is_shown_with_what_stood_in_its_way(
    aws: Any, store: Store, hybrid_sync: Command
) -> None:
    keep(NEVER, "weekly-9")

    assert "weekly-9 never began: legacy_unavailable: Legacy is away." in hybrid_sync("status").out
    for shape in ("table", "md", "html"):
        assert "legacy_unavailable: Legacy is away." in hybrid_sync("report", "weekly-9", "--format", shape).out
    assert json.loads(hybrid_sync("report", "weekly-9", "--format", "json").out) == NEVER


def test_while_the_target_is_away_status_and_report_tell_what_s3_knows(
    aws: Any, desk: Desk, hybrid_sync: Command
) -> None:
    desk.target_dsn = "postgresql://nobody@127.0.0.1:1/x"
    keep(to_json(summary(run_id="weekly-3")), "weekly-3")

    said = hybrid_sync("status")

    assert "weekly-3" in said.out
    assert "The target database does not let us in at 127.0.0.1:1/x." in said.err
    assert "34,452 of 34,458 rows" in hybrid_sync("status", "weekly-3").out
    assert "34,452 of 34,458 rows" in hybrid_sync("report", "weekly-3", "--format", "md").out


def test_a_run_that_nobody_knows_stays_one_sentence(aws: Any, store: Store, hybrid_sync: Command) -> None:
    said = hybrid_sync("report", "nope")

    assert (said.status, said.err.startswith("hybrid-sync: There is no run nope.")) == (1, True)


def test_a_part_of_the_runs_says_of_how_many(store: Store, hybrid_sync: Command) -> None:
    for n in range(12):
        add_run(store, f"weekly-{n}")

    assert "10 of 12 runs are shown: see more with --limit." in hybrid_sync("status").out
    assert "are shown" not in hybrid_sync("status", "--limit", "12").out

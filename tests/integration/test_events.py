"""Every sample event is accepted by its handler, in the order of a run, on real PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hybrid_sync.admission.startable import ScheduledRun
from hybrid_sync.contracts import Profile
from hybrid_sync_cli.emulator.schedules import SCHEDULED_TIME
from tests.checks import templates
from tests.integration.deployment import Deployment

EVENTS = Path("events")
# In the order in which a run meets them.
HANDLED_BY = {
    "check_deployment": "CheckDeployment",
    "sync_keys": "SyncKeys",
    "keep_warm": "SyncKeys",
    "plan_run": "PlanRun",
    "plan_entity": "PlanEntity",
    "sync_batch": "SyncBatch",
    "settle_uniques": "SettleUniques",
    "link_references": "LinkReferences",
    "reconcile_entity": "ReconcileEntity",
    "compare_segment": "CompareSegment",
    "confirm_differences": "ConfirmDifferences",
    "recheck_entity": "RecheckEntity",
    "propagate_deletes": "PropagateDeletes",
    "verify_entity": "VerifyEntity",
    "record_failure": "RecordFailure",
    "report_run": "ReportRun",
    "rollback_run": "RollbackRun",
    "retry_failure": "RetryFailure",
    "escalate_failure": "EscalateFailure",
    "watch_freshness": "WatchFreshness",
    "authorize_request": "AuthorizeRequest",
    "api_get_health": "ServeApi",
    "api_post_sync": "ServeApi",
    "api_get_sync": "ServeApi",
    "webhook_event": "ReceiveWebhook",
    "bus_event": "ReceiveWebhook",
    "ops_status": "ServeOps",
    "dashboard_sign_in": "ServeDashboard",
    "weekly_schedule": "AdmitRuns",
    "daily_schedule": "AdmitRuns",
    "hourly_schedule": "AdmitRuns",
    "execution_ended": "AdmitRuns",
    "missed_starts": "AdmitRuns",
}
REFUSED = {"authorize_request": "Unauthorized"}
"""An event without a valid credential, as every sample must be, and the error that API Gateway answers 401 to."""
SCHEDULES = {"weekly_schedule": "Weekly", "daily_schedule": "Daily", "hourly_schedule": "Hourly"}


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text("utf-8"))
    return event


@pytest.fixture(scope="module")
def answers(deployment: Deployment) -> Iterator[dict[str, Any]]:
    """What each handler said to its event; none of them raised."""
    run_id = sample("plan_run")["run_id"]
    deployment.client("stepfunctions").start_execution(
        stateMachineArn=deployment.refs["SyncRun"], name=run_id, input=json.dumps(sample("weekly_schedule")["request"])
    )
    yield {
        name: deployment.invoke(function, sample(name)) for name, function in HANDLED_BY.items() if name not in REFUSED
    }


def test_every_event_has_a_handler_and_every_function_an_event() -> None:
    assert {path.stem for path in EVENTS.glob("*.json")} == set(HANDLED_BY)
    assert set(HANDLED_BY.values()) == set(templates.functions(templates.load()))


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_sends_what_its_sample_says(name: str) -> None:
    template = templates.load()
    admitting = templates.functions(template)["AdmitRuns"]
    text = admitting["Events"][SCHEDULES[name]]["Properties"]["Input"]["Fn::Sub"]
    sent = json.loads(text.replace("${OnFailure}", template["Parameters"]["OnFailure"]["Default"]))
    assert sent.pop("scheduled_at") == SCHEDULED_TIME
    assert sample(name) == sent | {"scheduled_at": sample(name)["scheduled_at"]}
    assert ScheduledRun.model_validate(sample(name)).request.profile is Profile(name.removesuffix("_schedule"))


def test_a_few_keys_are_carried_and_verified(answers: dict[str, Any]) -> None:
    assert not answers["sync_keys"]["whole"], answers["sync_keys"]["why"]
    assert answers["sync_keys"]["outcome"]["status"] == "succeeded"


def test_the_check_passes_and_finds_nothing_that_asks_for_a_person(answers: dict[str, Any]) -> None:
    found = answers["check_deployment"]
    assert [f for f in found["findings"] if f["severity"] != "note"] == []
    assert found["passed"]


def test_a_planned_run_names_its_waves(answers: dict[str, Any]) -> None:
    planned = [task["entity"] for wave in answers["plan_run"]["waves"] for task in wave]
    assert sorted(planned) == sorted(sample("plan_run")["request"]["entities"])


def test_the_planned_batch_is_the_sample_batch(answers: dict[str, Any], deployment: Deployment) -> None:
    planned = answers["plan_entity"]
    body = deployment.client("s3").get_object(Bucket=planned["bucket"], Key=planned["manifest"])["Body"].read()
    [batch] = json.loads(body)
    assert {name: batch[name] for name in sample("sync_batch")} == sample("sync_batch")


def test_the_batch_carries_rows_and_the_entity_is_conserved(answers: dict[str, Any]) -> None:
    assert answers["sync_batch"]["read"] > 0
    assert answers["verify_entity"]["complete"]
    assert answers["verify_entity"]["conserved"]


def test_an_entity_that_was_carried_over_has_no_difference(answers: dict[str, Any]) -> None:
    assert (answers["reconcile_entity"]["segments"], answers["reconcile_entity"]["batches"]) == (0, 0)
    assert answers["compare_segment"]["suspected"] == 0
    assert answers["recheck_entity"]["persisted"] == 0


def test_a_recorded_failure_fails_the_run_and_stands_in_its_report(
    answers: dict[str, Any], deployment: Deployment
) -> None:
    assert answers["report_run"]["status"] == "failed"
    with psycopg.connect(deployment.target_dsn) as target:
        rows = target.execute("select entity, state, error from hybrid_sync.run_failure").fetchall()
    assert rows == [("products", "PlanEntity", "structure_mismatch")]


@pytest.mark.parametrize("name", ["retry_failure", "escalate_failure"])
def test_a_message_about_records_that_are_resolved_is_done(answers: dict[str, Any], name: str) -> None:
    assert answers[name] == {"batchItemFailures": []}


@pytest.mark.parametrize("name", REFUSED)
def test_an_unknown_token_is_refused_by_the_name_that_api_gateway_knows(name: str, deployment: Deployment) -> None:
    with pytest.raises(Exception, match=rf"^{REFUSED[name]}$"):
        deployment.invoke(HANDLED_BY[name], sample(name))


def test_the_api_answers(answers: dict[str, Any]) -> None:
    assert [answers[name]["statusCode"] for name in ("api_get_health", "api_post_sync", "api_get_sync")] == [
        200,
        202,
        200,
    ]
    assert json.loads(answers["api_get_sync"]["body"])["status"] == "running"


def test_the_operator_is_answered(answers: dict[str, Any]) -> None:
    assert answers["ops_status"]["statusCode"] == 200
    runs = json.loads(answers["ops_status"]["body"])["runs"]
    assert sample("plan_run")["run_id"] in [run["run_id"] for run in runs]


def test_a_posted_sync_starts_an_execution_whose_input_plan_run_accepts(
    answers: dict[str, Any], deployment: Deployment
) -> None:
    run_id = json.loads(answers["api_post_sync"]["body"])["run_id"]
    arn = deployment.refs["SyncRun"].replace(":stateMachine:", ":execution:") + f":{run_id}"
    started = deployment.client("stepfunctions").describe_execution(executionArn=arn)
    planned = deployment.invoke("PlanRun", {"run_id": run_id, "request": json.loads(started["input"])})
    assert "payments" in [task["entity"] for task in planned["entities"]]


def test_a_message_that_is_none_is_told_and_let_go(deployment: Deployment) -> None:
    event = sample("escalate_failure")
    [good] = event["Records"]
    bad = good | {"messageId": "bad", "body": "not JSON"}
    worse = good | {"messageId": "worse", "body": '{"run_id": 1}'}
    answer = deployment.invoke("EscalateFailure", {"Records": [bad, good, worse]})
    assert answer == {"batchItemFailures": []}

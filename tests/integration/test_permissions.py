"""A whole run through the real handlers: what they ask of AWS is what their policies allow, no less and no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from hybrid_sync import wiring
from hybrid_sync.admission.job import JobState
from hybrid_sync.admission.jobs import JobStore
from hybrid_sync.dashboard.session import FORM
from hybrid_sync.errors import PermanentError
from hybrid_sync.http.credentials import COOKIE
from hybrid_sync.http.scopes import SCOPES
from hybrid_sync.http.tokens import Tokens
from hybrid_sync_cli.stack import supabase
from tests.conftest import PASSWORD
from tests.dashboard.conftest import Browser, vendored_layer
from tests.integration.deployment import Call, Deployment

# Enough for every kind of call: references, links that close a cycle, records that fail.
ENTITIES = ["offices", "profiles", "patients", "cases", "case_states", "products", "courses", "orders", "jaws"]
RUN = "weekly-20261129T010000-4fc1d2"


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(Path("events", f"{name}.json").read_text("utf-8"))
    return event


def queue_event(deployment: Deployment, queue: str) -> dict[str, Any]:
    """What Lambda's poller would hand over."""
    event = sample("retry_failure")
    [template] = event["Records"]
    sqs = deployment.client("sqs")
    messages = []
    while found := sqs.receive_message(
        QueueUrl=deployment.refs[queue], MaxNumberOfMessages=10, AttributeNames=["All"]
    ).get("Messages"):
        messages += found
    return {
        "Records": [
            {
                **template,
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": template["attributes"] | message["Attributes"],
            }
            for message in messages
        ]
    }


@pytest.fixture(scope="module")
def ran(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Every function has done everything that it does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(vendored_layer(tmp_path_factory)))
        deployment.troubled = True
        yield _worked(deployment)


def _carry(deployment: Deployment, task: dict[str, Any]) -> None:
    """One entity: plan it, sync its batches, settle its unique values."""
    planned = deployment.invoke("PlanEntity", task)
    # A repeated delivery of the same task: the first plan stays.
    assert deployment.invoke("PlanEntity", task) == planned
    body = deployment.client("s3").get_object(Bucket=planned["bucket"], Key=planned["manifest"])["Body"]
    batches = json.loads(body.read())
    assert len(batches) == planned["batches"]
    for batch in batches:
        deployment.invoke("SyncBatch", batch)
    _keep_out(deployment, task["entity"])
    deployment.invoke("SettleUniques", {"run_id": RUN, "entity": task["entity"]})


def _worked(deployment: Deployment) -> Deployment:
    _lose_a_run(deployment)
    _orphan_an_order(deployment)
    _sync_keys(deployment)
    _erase_somebody(deployment)
    _begin(deployment, sample("check_deployment")["check_id"])
    assert deployment.invoke("CheckDeployment", sample("check_deployment"))["passed"]
    request = sample("weekly_schedule")["request"] | {"entities": ENTITIES}
    _begin(deployment, RUN)
    plan = deployment.invoke("PlanRun", {"run_id": RUN, "request": request})
    for strand in (strand for wave in plan["waves"] for strand in wave):
        task = strand
        while task is not None:
            _carry(deployment, task)
            task = task["then"]
    while deployment.invoke("LinkReferences", {"run_id": RUN})["more"]:
        pass
    for task in plan["entities"]:
        _reconcile(deployment, task)
    while deployment.invoke("PropagateDeletes", {"run_id": RUN})["more"]:
        pass
    deployment.invoke("SettleUniques", {"run_id": RUN})
    for task in plan["entities"]:
        deployment.invoke("VerifyEntity", task)
    deployment.invoke("RecordFailure", sample("record_failure"))
    deployment.invoke("ReportRun", {"run_id": RUN, "failure": None})
    failed = queue_event(deployment, "FailedRecordsQueue")
    assert failed["Records"], "the sample world plants records that fail"
    healed = _heal_one_and_lose_one(deployment, failed)
    back = {item["itemIdentifier"] for item in deployment.invoke("RetryFailure", failed)["batchItemFailures"]}
    # What waited for the order may heal with it.
    assert back
    assert back <= {record["messageId"] for record in failed["Records"]} - {healed}
    again = queue_event(deployment, "FailedRecordsQueue")
    sent = [json.loads(record["body"]) for record in again["Records"]]
    assert {message["entity"] for message in sent if not message["at_once"]} == {"case_states"}
    # The order has arrived, and woken what waited for it.
    assert {message["reason"] for message in sent if message["at_once"]} == {"missing_parent"}
    assert deployment.invoke("EscalateFailure", failed) == {"batchItemFailures": []}
    assert deployment.invoke("WatchFreshness", sample("watch_freshness"))["days"] < 1
    _end_all(deployment)
    _on_the_dashboard(deployment)
    _end_all(deployment)
    _over_http(deployment)
    _redrive(deployment)
    undo = {"run_id": RUN, "out_of_order": True}
    while deployment.invoke("RollbackRun", undo)["more"]:
        pass
    _end_all(deployment)
    _over_webhooks(deployment)
    _end_all(deployment)
    _as_operator(deployment)
    assert deployment.invoke("WatchFreshness", sample("watch_freshness"))["days"] < 1  # the audit trail has lines now
    _end_all(deployment)
    _on_schedule(deployment)
    return deployment


def _begin(deployment: Deployment, name: str) -> None:
    """Somebody has started an execution by hand: its first state takes a slot."""
    deployment.client("stepfunctions").start_execution(stateMachineArn=deployment.refs["SyncRun"], name=name)


def _end_all(deployment: Deployment) -> None:
    states, machine = deployment.client("stepfunctions"), deployment.refs["SyncRun"]
    for execution in states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]:
        states.stop_execution(executionArn=execution["executionArn"])
    deployment.invoke("AdmitRuns", sample("execution_ended"))


def _on_schedule(deployment: Deployment) -> None:
    """A schedule starts a run; somebody has asked to cancel it, and the clock does.  It also finds a lost run."""
    deployment.invoke("AdmitRuns", sample("daily_schedule"))
    jobs = JobStore("ControlTable", deployment.client("dynamodb"))
    [started] = [job_id for job_id in jobs.ids(JobState.admitted) if job_id.startswith("daily")]
    jobs.ask_cancel(started, "a person")
    _lose_a_run(deployment)
    deployment.invoke("AdmitRuns", sample("execution_ended"))
    job = jobs.get(started)
    assert job is not None
    assert (job.state, job.outcome) == (JobState.cancelled, "cancelled")


def _as_operator(deployment: Deployment) -> None:
    """Commands that need each of AWS's services; the function that undoes runs is none that moto could call."""
    run_id = "weekly-20261129T010000-000001"
    install = {"target_dsn": make_conninfo(deployment.target_dsn, user=supabase.ADMIN, password=PASSWORD)}
    for command, body, status in (
        ("status", {}, 200),
        ("pause", {}, 200),
        ("resume", {}, 200),
        ("sync", {"run_id": run_id, "request": {"profile": "weekly"}}, 200),
        ("report", {"run_id": run_id}, 200),
        ("overview", {}, 200),
        ("cancel", {"run_id": run_id}, 200),
        ("logs", {"run_id": run_id}, 200),
        ("syncs", {}, 200),
        ("rollback", {"run_id": RUN}, 500),
        ("redrive", {"redrive_id": "redrive-20261129T010000-000001", "all": True}, 200),
        ("idmap-check", {"entity": "offices"}, 200),
        ("idmap-rebuild", {"entity": "offices"}, 200),
        ("idmap-backup", {"backup": "20261129T010000-4fc1d2", "entity": "offices"}, 200),
        ("idmap-restore", {"backup": "20261129T010000-4fc1d2", "entity": "offices"}, 422),
        ("audit-verify", {}, 200),
        ("erasures", {}, 200),
        ("tokens", {}, 200),
        ("create-token", {"name": "x", "scopes": ["syncs:read"], "days": 1}, 200),
        ("revoke-token", {"token_id": "0" * 12}, 422),
        ("install", install, 200),
    ):
        event = sample("ops_status") | {"resource": f"/ops/{command}", "body": json.dumps(body)}
        answer = deployment.invoke("ServeOps", event)
        assert answer["statusCode"] == status, (command, answer["body"])
        if command == "create-token":
            token = json.loads(answer["body"])["id"]
    event["resource"], event["body"] = "/ops/revoke-token", json.dumps({"token_id": token})
    assert deployment.invoke("ServeOps", event)["statusCode"] == 200


def _on_the_dashboard(deployment: Deployment) -> None:
    """Somebody looks at everything, starts a run and ends it, and tries again what has failed."""
    _, token = Tokens("ControlTable", deployment.client("dynamodb")).create("pages", SCOPES)
    browser = Browser(Pages(deployment), {COOKIE: token, FORM: "a secret"})
    for page in ("", f"/runs/{RUN}", f"/runs/{RUN}/report", "/entities", "/entities/offices", "/audit"):
        assert browser.get(f"/dashboard{page}").status == 200, page
    for kind, of, status in (("run", "weekly", 303), ("retry", "case_states", 303), ("rollback", RUN, 500)):
        form = browser.get(f"/dashboard/act/{kind}", {"of": of})
        done = browser.post(f"/dashboard/act/{kind}", {"csrf": form.csrf, "of": of, **form.hidden})
        assert done.status == status, (kind, done.body)
        if kind == "run":
            run = form.hidden["run_id"]
    for page in ("", f"/runs/{run}"):
        assert browser.get(f"/dashboard{page}").status == 200
    form = browser.get("/dashboard/act/cancel", {"of": run})
    assert browser.post("/dashboard/act/cancel", {"csrf": form.csrf, "of": run}).status == 303
    assert browser.get(f"/dashboard/runs/{run}/report").status == 404  # looked for in the target and among the reports


class Pages:
    """The dashboard as API Gateway calls it."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def resolve(self, event: dict[str, Any]) -> Any:
        return self._deployment.invoke("ServeDashboard", event)


def _redrive(deployment: Deployment) -> None:
    """What has failed is tried again, as an operator asks by command or over HTTP; neither of the two undoes anything
    here, because moto calls no function."""
    everything = {"redrive_id": "redrive-20261129T010000-000002", "all": True}
    assert _ops(deployment, "redrive", everything)["records"] > 0
    for path, body, status in (("/v1/failures/redrive", {"all": True}, 202), ("/v1/syncs/{run_id}/rollback", {}, 500)):
        event = sample("api_get_sync") | {"resource": path, "httpMethod": "POST", "body": json.dumps(body)}
        event["path"] = path.replace("{run_id}", RUN)
        answer = deployment.invoke("ServeApi", event)
        assert answer["statusCode"] == status, (path, answer["body"])


def _over_webhooks(deployment: Deployment) -> None:
    """Signed events start runs until no slot is free; the next one finds that a run was to be cancelled."""
    made = _ops(deployment, "rotate-webhook-secret", {"source": "clinic", "url": "http://127.0.0.1"})
    assert made["secret"].startswith("whsec_")
    for key in range(5):
        asked = {"source": "clinic", "event": "payment.captured", "refs": [{"entity": "payments", "legacy_id": key}]}
        signed = _ops(deployment, "sign-event", asked)
        event = sample("webhook_event") | signed
        answer = deployment.invoke("ReceiveWebhook", event)
        assert answer["statusCode"] == 202, answer["body"]
        if key == 0:
            JobStore("ControlTable", deployment.client("dynamodb")).ask_cancel(
                json.loads(answer["body"])["run_id"], "a person"
            )


def _ops(deployment: Deployment, command: str, body: dict[str, Any]) -> dict[str, Any]:
    event = sample("ops_status") | {"resource": f"/ops/{command}", "body": json.dumps(body)}
    answer = deployment.invoke("ServeOps", event)
    assert answer["statusCode"] == 200, answer["body"]
    return dict(json.loads(answer["body"]))


def _keep_out(deployment: Deployment, entity: str) -> None:
    """A row of the offices is told as if another one had its unique value, and the cache has lost its page."""
    table = deployment.client("dynamodb")
    for item in table.scan(TableName="IdMapTable")["Items"]:
        if item["pk"]["S"].startswith("offices/"):
            table.delete_item(TableName="IdMapTable", Key={"pk": item["pk"]})
    with psycopg.connect(deployment.target_dsn) as target:
        target.execute(
            "insert into hybrid_sync.failed_record (entity, source, key, reason, present, first_run, last_run)"
            " select entity, source, array[legacy_id], 'unique_violation', true, run_id, run_id"
            " from hybrid_sync.batch_done, (select min(legacy_id) as legacy_id from offices) o"
            " where entity = 'offices' and entity = %s and run_id = %s limit 1",
            (entity, RUN),
        )


def _orphan_an_order(deployment: Deployment) -> None:
    """An order refers to a patient who is not there, as a retry can heal."""
    with psycopg.connect(deployment.legacy_dsn) as legacy:
        legacy.execute("set local session_replication_role = replica")
        legacy.execute(
            "update dispatch_instruction set patient_id = -patient_id where id ="
            " (select min(id) from dispatch_instruction where status = 1 and not deleted and patient_id is not null)"
        )


def _sync_keys(deployment: Deployment) -> None:
    """The order waits for its patient."""
    with psycopg.connect(deployment.legacy_dsn) as legacy:
        [(order,)] = legacy.execute("select id from dispatch_instruction where patient_id < 0").fetchall()
    request = {"profile": "on_demand", "priority": "critical", "refs": [{"entity": "orders", "legacy_id": order}]}
    _begin(deployment, "a-few-keys")
    said = deployment.invoke("SyncKeys", {"run_id": "a-few-keys", "request": request})
    assert said["outcome"]["status"] == "degraded", said


def _erase_somebody(deployment: Deployment) -> None:
    """Who is no patient; and then the target and the bucket each lack an erasure that the other one has."""
    with psycopg.connect(deployment.legacy_dsn) as legacy:
        [(person,)] = legacy.execute(
            "select max(id) from auth_user u where not exists (select from dispatch_patient p where p.user_id = u.id)"
        ).fetchall()
    erased = _ops(deployment, "erase", {"rows": [{"entity": "profiles", "key": [person]}]})
    assert erased["suppressed"]["profiles"] == 1
    s3, bucket = deployment.client("s3"), deployment.refs["DataBucket"]
    kept = json.loads(s3.get_object(Bucket=bucket, Key="erasures/000000001.json")["Body"].read())
    s3.delete_object(Bucket=bucket, Key="erasures/000000001.json")
    s3.put_object(Bucket=bucket, Key="erasures/000000002.json", Body=json.dumps(kept | {"number": 2}).encode())


def _heal_one_and_lose_one(deployment: Deployment, failed: dict[str, Any]) -> str:
    """Give the order its patient back; and forget that states were queued, as a crash before SQS would have."""
    by_entity = {json.loads(record["body"])["entity"]: record for record in failed["Records"]}
    order = by_entity["orders"]
    with psycopg.connect(deployment.legacy_dsn) as legacy:
        legacy.execute("update dispatch_instruction set patient_id = -patient_id where patient_id < 0")
    with psycopg.connect(deployment.target_dsn) as target:
        target.execute("update hybrid_sync.failed_record set queued_at = null where entity = 'case_states'")
    return str(order["messageId"])


def _lose_a_run(deployment: Deployment) -> None:
    """An earlier run stands at work, and nobody knows its execution."""
    with psycopg.connect(deployment.target_dsn) as target:
        target.execute(
            "insert into hybrid_sync.run"
            " (run_id, profile, trigger, priority, request, fence, catalog_hash, deadline_at)"
            " values ('weekly-lost', 'weekly', 'schedule', 'normal', '{}', '{}', '', now() - interval '1 day')"
            " on conflict (run_id) do update set status = 'running'"
        )


def _reconcile(deployment: Deployment, task: dict[str, Any]) -> None:
    """Each of its functions twice: a repeated delivery finds the manifest of the first."""
    for _ in range(2):
        assert deployment.invoke("ReconcileEntity", task)["segments"] == 0
        for source, n in _segments(deployment, task["entity"]):
            segment = {"n": n, "source": source, "lo": None, "hi": None}
            deployment.invoke("CompareSegment", {"run_id": RUN, "entity": task["entity"], **segment})
        deployment.invoke("ConfirmDifferences", task)
        deployment.invoke("RecheckEntity", task)


def _segments(deployment: Deployment, entity: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(deployment.target_dsn) as target:
        return target.execute(
            "select source, n from hybrid_sync.reconcile_segment where run_id = %s and entity = %s", (RUN, entity)
        ).fetchall()


def _over_http(deployment: Deployment) -> None:
    _, token = Tokens("ControlTable", deployment.client("dynamodb")).create("test")
    authorize = sample("authorize_request")
    answer = deployment.invoke("AuthorizeRequest", _with_bearer(authorize, token))
    assert answer["policyDocument"]["Statement"][0]["Effect"] == "Allow"
    # Not a token of ours: the secret says which project's it may be.
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        deployment.invoke("AuthorizeRequest", _with_bearer(authorize, "a.b.c"))
    started = deployment.invoke("ServeApi", sample("api_post_sync"))
    assert started["statusCode"] == 202, started["body"]
    run_id = json.loads(started["body"])["run_id"]
    _fill_the_slots(deployment, run_id)
    arn = deployment.refs["SyncRun"].replace(":stateMachine:", ":execution:") + f":{run_id}"
    deployment.client("stepfunctions").stop_execution(executionArn=arn)
    show = json.loads(json.dumps(sample("api_get_sync")).replace(RUN, run_id))
    assert json.loads(deployment.invoke("ServeApi", show)["body"])["status"] == "cancelled"


def _with_bearer(event: dict[str, Any], token: str) -> dict[str, Any]:
    return event | {"multiValueHeaders": {"Authorization": [f"Bearer {token}"]}}


def test_the_id_secret_is_kept_apart_by_the_slow_clock_and_no_new_connections_lose_it(
    ran: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = ran.client("secretsmanager")

    assert secrets.get_secret_value(SecretId=ran.refs["IdSecret"])["SecretString"] == "ordered:only for tests"
    before = secrets.get_secret_value(SecretId=ran.refs["ConnectionSecret"])["SecretString"]
    others = json.loads(before) | {"id_secret": "another one"}
    secrets.put_secret_value(SecretId=ran.refs["ConnectionSecret"], SecretString=json.dumps(others))
    monkeypatch.setenv("HYBRID_SYNC_SECRET", ran.refs["ConnectionSecret"])
    monkeypatch.setenv("ID_SECRET", ran.refs["IdSecret"])
    wiring.world.cache_clear()
    try:
        wiring.keep_id_secret()
        assert wiring.world().id_secret == b"ordered:only for tests"
        # One that was kept apart before ids had an order stays as it is, and so do its ids.
        secrets.put_secret_value(SecretId=ran.refs["IdSecret"], SecretString="of old")
        wiring.world.cache_clear()
        wiring.keep_id_secret()
        assert wiring.world().id_secret == b"of old"
    finally:
        secrets.put_secret_value(SecretId=ran.refs["IdSecret"], SecretString="ordered:only for tests")
        secrets.put_secret_value(SecretId=ran.refs["ConnectionSecret"], SecretString=before)


def _fill_the_slots(deployment: Deployment, run_id: str) -> None:
    """Critical requests until no slot is free; the next one finds that a run was to be cancelled, and stops it."""
    JobStore("ControlTable", deployment.client("dynamodb")).ask_cancel(run_id, "a person")
    for key in range(1, 4):
        body = json.dumps({"refs": [{"entity": "offices", "legacy_id": key}], "priority": "critical"})
        event = sample("api_post_sync") | {"body": body}
        event["headers"] = {n: v for n, v in event["headers"].items() if n.lower() != "idempotency-key"}
        assert deployment.invoke("ServeApi", event)["statusCode"] == 202


def test_every_call_is_allowed(ran: Deployment) -> None:
    refused = [(name, call) for name, calls in ran.calls.items() for call in calls if not ran.permits(name, call)]
    assert refused == []


def test_a_function_that_may_touch_some_items_of_the_control_table_touches_no_others(ran: Deployment) -> None:
    assert {name: ran.forbidden(name) for name in ran.functions if ran.forbidden(name)} == {}
    assert ran.items["SyncBatch"] >= {"breakers", "throttled"}
    assert ran.items["WatchFreshness"] == {"breakers"}


def test_everything_that_is_allowed_is_used(ran: Deployment) -> None:
    unused = [
        (name, action, pattern)
        for name in ran.functions
        for action, pattern in ran.allowed(name)
        if not any(call.action == action for call in ran.calls[name])
    ]
    assert unused == []


def test_every_function_was_called(ran: Deployment) -> None:
    assert set(ran.calls) == set(ran.functions)


@pytest.mark.parametrize(
    "call",
    [
        Call("s3:PutObject", "arn:aws:s3:::databucket/reports/run.json"),
        Call("s3:GetObject", "arn:aws:s3:::other/manifests/run.json"),
        Call("s3:DeleteObject", "arn:aws:s3:::databucket/manifests/run.json"),
    ],
)
def test_the_comparison_has_teeth(ran: Deployment, call: Call) -> None:
    assert not ran.permits("PlanEntity", call)


def test_a_function_without_its_variable_says_which_one_is_missing(
    ran: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = json.loads(json.dumps(ran.functions["PlanEntity"]))
    function["Environment"]["Variables"].pop("DATA_BUCKET")
    monkeypatch.setitem(ran.functions, "PlanEntity", function)
    task = {"run_id": RUN, "entity": "offices"}
    with pytest.raises(PermanentError, match=r"DATA_BUCKET|run_not_running"):
        ran.invoke("PlanEntity", task)

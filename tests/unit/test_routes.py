"""The HTTP trigger: what it starts, what it refuses with which status and sentence, and what it tells."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hybrid_sync.admission.gate import Standing
from hybrid_sync.admission.job import Job, JobState, new_job
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.load import load
from hybrid_sync.contracts import OnFailure, Profile, RunPriority, RunRequest
from hybrid_sync.errors import AwsUnavailable, ConfigurationMissing, QueueFull, RequestConflicts, RunNotFound
from hybrid_sync.http.routes import Api
from hybrid_sync.runs.starter import RunState
from tests.engine.worlds import MemoryReports
from tests.unit.lambdas import FakeContext

CATALOG: Catalog = load(Path("layers/catalog"))
STARTED = datetime(2026, 11, 29, 1, 0, tzinfo=UTC)


class Starter:
    """Jobs and their runs by name; each is admitted at once, and the same name and request are one."""

    def __init__(self) -> None:
        self.runs: dict[str, RunRequest] = {}
        self.states: dict[str, RunState] = {}
        self.waiting: dict[str, Standing] = {}

    def add(self, request: RunRequest, job_id: str, caller: str) -> Job:
        if self.runs.setdefault(job_id, request) != request:
            raise RequestConflicts("This idempotency key was used for a different request.")
        self.states[job_id] = RunState(job_id, "running", STARTED, None)
        return self.standing(job_id).job

    def standing(self, job_id: str) -> Standing:
        if job_id in self.waiting:
            return self.waiting[job_id]
        if job_id not in self.runs:
            raise RunNotFound(f"There is no run {job_id}.")
        return Standing(replace(new_job(job_id, self.runs[job_id], "caller", STARTED), state=JobState.admitted))

    def state(self, run_id: str) -> RunState:
        if run_id not in self.states:
            raise RunNotFound(f"There is no run {run_id}.")
        return self.states[run_id]


class Desk:
    """The routes, and everything behind them."""

    def __init__(self) -> None:
        self.starter = Starter()
        self.reports = MemoryReports()
        self.api = Api(CATALOG, self.starter, self.starter, self.reports)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        text = body if isinstance(body, str) else None if body is None else json.dumps(body)
        return self.send(event(method, path, text, headers))

    def send(self, given: dict[str, Any]) -> tuple[int, Any]:
        answer = self.api.resolve(given, FakeContext())
        return answer["statusCode"], json.loads(answer["body"])

    def only_run(self) -> RunRequest:
        [request] = self.starter.runs.values()
        return request


def event(method: str, path: str, body: str | None, headers: dict[str, str]) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": named,
        "multiValueHeaders": {name: [value] for name, value in named.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "body": body,
        "isBase64Encoded": False,
        "requestContext": {
            "authorizer": {"principalId": "token-1"},
            "domainName": "abc.execute-api.us-east-1.amazonaws.com",
            "stage": "live",
            "path": f"/live{path}",
            "requestId": "1",
        },
    }


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_entities_start_an_on_demand_run(desk: Desk) -> None:
    status, told = desk.ask("POST", "/v1/syncs", {"entities": ["payments", "orders"], "priority": "critical"})
    request = desk.only_run()
    assert status == 202
    assert told["status_url"].endswith(f".amazonaws.com/live/v1/syncs/{told['run_id']}")
    assert request.profile is Profile.on_demand
    assert request.priority is RunPriority.critical
    assert request.entities == ("payments", "orders")
    assert (request.trigger, request.requested_by) == ("api", "token-1")


def test_single_rows_with_their_dependencies_start_a_run(desk: Desk) -> None:
    refs = [
        {"entity": "payments", "legacy_id": 17229},
        {"entity": "role_permissions", "legacy_id": [3, 41]},
        {"entity": "case_messages", "legacy_id": 12, "source": "comment"},
    ]
    status, _ = desk.ask("POST", "/v1/syncs", {"refs": refs, "include": "dependencies", "correlation_id": "evt-1"})
    assert status == 202
    assert [ref.key for ref in desk.only_run().refs] == [(17229,), (3, 41), (12,)]
    assert desk.only_run().include == "dependencies"


def test_the_input_of_the_state_machine_is_what_plan_run_parses(desk: Desk) -> None:
    desk.ask("POST", "/v1/syncs", {"refs": [{"entity": "role_permissions", "legacy_id": [3, 41]}]})
    text = desk.only_run().model_dump_json(exclude={"run_id"})
    assert RunRequest.model_validate_json(text) == desk.only_run()


@pytest.mark.parametrize(
    ("body", "policy"), [({}, OnFailure.keep), *(({"on_failure": policy.value}, policy) for policy in OnFailure)]
)
def test_a_caller_says_what_happens_when_the_run_fails(desk: Desk, body: dict[str, str], policy: OnFailure) -> None:
    given = event("POST", "/v1/syncs", json.dumps({"entities": ["orders"], **body}), {})
    given["requestContext"]["authorizer"]["scopes"] = "syncs:write syncs:on_failure"
    assert desk.send(given)[0] == 202
    assert desk.only_run().on_failure is policy


def test_an_unknown_policy_is_refused_in_one_sentence(desk: Desk) -> None:
    status, told = desk.ask("POST", "/v1/syncs", {"entities": ["orders"], "on_failure": "undo"})
    assert status == 422
    assert told["message"] == "on_failure: Input should be 'keep', 'hold' or 'rollback'."
    assert desk.starter.runs == {}


def test_an_encoded_body_is_decoded(desk: Desk) -> None:
    given = event("POST", "/v1/syncs", base64.b64encode(b'{"entities": ["orders"]}').decode(), {})
    assert desk.send({**given, "isBase64Encoded": True})[0] == 202


REFUSED: dict[str, tuple[Any, str]] = {
    "nothing asked for": ({}, "name at least one entity"),
    "an unknown entity": ({"entities": ["nonsense"]}, "no entity nonsense"),
    "an unknown entity in refs": ({"refs": [{"entity": "nonsense", "legacy_id": 1}]}, "no entity nonsense"),
    "a key that is no number": ({"refs": [{"entity": "orders", "legacy_id": "one"}]}, "refs.0.legacy_id"),
    "too few key parts": ({"refs": [{"entity": "role_permissions", "legacy_id": 3}]}, "2 part(s)"),
    "too many key parts": ({"refs": [{"entity": "orders", "legacy_id": [3, 4]}]}, "1 part(s)"),
    "a source left open": ({"refs": [{"entity": "case_messages", "legacy_id": 3}]}, "several sources"),
    "an unknown source": ({"refs": [{"entity": "orders", "legacy_id": 3, "source": "x"}]}, "no source x"),
    "an unknown priority": ({"entities": ["orders"], "priority": "urgent"}, "priority"),
    "an unknown field": ({"entities": ["orders"], "entity": "orders"}, "entity"),
    "an unknown include": ({"entities": ["orders"], "include": "everything"}, "include"),
    "a time without a zone": ({"entities": ["orders"], "since": "2026-11-01T00:00:00"}, "since"),
    "a range backwards": (
        {"entities": ["orders"], "since": "2026-11-02T00:00:00Z", "until": "2026-11-01T00:00:00Z"},
        "`since` must be earlier",
    ),
    "a range without a time of change": ({"entities": ["offices"], "since": "2026-11-02T00:00:00Z"}, "time of change"),
    "too many rows": ({"refs": [{"entity": "orders", "legacy_id": n} for n in range(501)]}, "refs"),
    "a list": ([1, 2], ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses(desk: Desk, case: str) -> None:
    body, sentence = REFUSED[case]
    status, told = desk.ask("POST", "/v1/syncs", body)
    assert (status, told["error"]) == (422, "request_rejected")
    assert sentence in told["message"]
    assert told["remedy"]
    assert desk.starter.runs == {}


@pytest.mark.parametrize("body", ["{", None, "entities=orders"])
def test_a_body_that_is_no_json_is_a_bad_request(desk: Desk, body: str | None) -> None:
    status, told = desk.ask("POST", "/v1/syncs", body)
    assert (status, told["error"]) == (400, "body_invalid")


def test_the_same_key_and_request_start_one_run(desk: Desk) -> None:
    first = desk.ask("POST", "/v1/syncs", {"entities": ["orders"]}, Idempotency_Key="evt-1")
    assert desk.ask("POST", "/v1/syncs", {"entities": ["orders"]}, Idempotency_Key="evt-1") == first
    assert len(desk.starter.runs) == 1


def test_the_same_key_for_another_request_conflicts(desk: Desk) -> None:
    desk.ask("POST", "/v1/syncs", {"entities": ["orders"]}, Idempotency_Key="evt-1")
    status, told = desk.ask("POST", "/v1/syncs", {"entities": ["cases"]}, Idempotency_Key="evt-1")
    assert (status, told["error"]) == (409, "request_conflicts")


def test_two_callers_may_use_the_same_key(desk: Desk) -> None:
    mine = event("POST", "/v1/syncs", '{"entities": ["orders"]}', {"Idempotency-Key": "1"})
    theirs = json.loads(json.dumps(mine))
    theirs["requestContext"]["authorizer"]["principalId"] = "token-2"
    assert desk.send(mine)[1]["run_id"] != desk.send(theirs)[1]["run_id"]


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_an_empty_or_endless_key_is_refused(desk: Desk, key: str) -> None:
    assert desk.ask("POST", "/v1/syncs", {"entities": ["orders"]}, Idempotency_Key=key)[0] == 422


def test_without_a_key_every_request_starts_a_run_with_a_name_that_step_functions_takes(desk: Desk) -> None:
    for key in ({}, {}, {"Idempotency_Key": "ä / \n %"}):
        desk.ask("POST", "/v1/syncs", {"entities": ["orders"]}, **key)
    assert len(desk.starter.runs) == 3
    assert all(len(name) <= 80 and name.replace("-", "").isalnum() for name in desk.starter.runs)


def test_a_run_under_way_tells_its_state_and_no_report(desk: Desk) -> None:
    _, started = desk.ask("POST", "/v1/syncs", {"entities": ["orders"]})
    status, told = desk.ask("GET", f"/v1/syncs/{started['run_id']}")
    assert status == 200
    assert (told["status"], told["finished_at"], told["report"]) == ("running", None, None)
    assert told["started_at"] == "2026-11-29T01:00:00+00:00"


def test_a_run_that_waits_tells_its_place_and_why(desk: Desk) -> None:
    job = new_job("api-1", RunRequest(profile=Profile.on_demand, entities=("orders",)), "token-1", STARTED)
    desk.starter.waiting["api-1"] = Standing(job, 4, "3 jobs go before it.")
    _, told = desk.ask("GET", "/v1/syncs/api-1")
    assert (told["status"], told["place"], told["why"]) == ("waiting", 4, "3 jobs go before it.")
    assert told["started_at"] is None


def test_a_run_that_another_one_answers_for_is_as_that_one_is(desk: Desk) -> None:
    job = new_job("api-2", RunRequest(profile=Profile.on_demand, entities=("orders",)), "token-1", STARTED)
    desk.starter.waiting["api-2"] = Standing(replace(job, state=JobState.merged, into="api-1"))
    desk.starter.states["api-1"] = RunState("api-1", "succeeded", STARTED, STARTED)
    desk.reports.write("api-1", {"status": "degraded"})
    _, told = desk.ask("GET", "/v1/syncs/api-2")
    assert (told["run_id"], told["answered_by"], told["status"]) == ("api-2", "api-1", "degraded")


def test_a_full_queue_says_when_to_come_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(request: RunRequest, job_id: str, caller: str) -> Job:
        raise QueueFull("100 jobs of this caller wait already.", "Send it again later.")

    monkeypatch.setattr(desk.starter, "add", full)
    given = event("POST", "/v1/syncs", json.dumps({"entities": ["orders"]}), {})
    answer = desk.api.resolve(given, FakeContext())
    assert answer["statusCode"] == 429
    assert answer["multiValueHeaders"]["Retry-After"] == ["60"]


def test_an_ended_run_tells_its_report(desk: Desk) -> None:
    desk.starter.states["weekly-1"] = RunState("weekly-1", "succeeded", STARTED, STARTED)
    desk.reports.write("weekly-1", {"status": "succeeded"})
    assert desk.ask("GET", "/v1/syncs/weekly-1")[1]["report"] == {"status": "succeeded"}


@pytest.mark.parametrize(
    ("execution", "report", "status"),
    [
        ("succeeded", "degraded", "degraded"),
        ("succeeded", "rolled_back", "rolled_back"),
        ("failed", "rolled_back", "rolled_back"),
        ("failed", "succeeded", "failed"),
        ("lost", "running", "lost"),
    ],
)
def test_an_ended_run_has_the_status_of_its_report_unless_its_execution_broke(
    desk: Desk, execution: str, report: str, status: str
) -> None:
    desk.starter.states["weekly-1"] = RunState("weekly-1", execution, STARTED, STARTED)
    desk.reports.write("weekly-1", {"status": report})
    assert desk.ask("GET", "/v1/syncs/weekly-1")[1]["status"] == status


def test_a_run_that_ended_without_a_report_is_told_all_the_same(desk: Desk) -> None:
    desk.starter.states["weekly-1"] = RunState("weekly-1", "failed", STARTED, STARTED)
    status, told = desk.ask("GET", "/v1/syncs/weekly-1")
    assert (status, told["status"], told["report"]) == (200, "failed", None)


@pytest.mark.parametrize("run_id", ["nothing", "a.b", "x" * 81, "%2e%2e"])
def test_an_unknown_run_is_not_found(desk: Desk, run_id: str) -> None:
    status, told = desk.ask("GET", f"/v1/syncs/{run_id}")
    assert (status, told["error"]) == (404, "run_not_found")


def test_health_answers(desk: Desk) -> None:
    assert desk.ask("GET", "/v1/health") == (200, {"status": "ok", "entities": len(CATALOG.entities)})


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (AwsUnavailable("AWS failed on the state machine."), 503, "aws_unavailable"),
        (ConfigurationMissing("AWS refused access.", "Compare the policy."), 500, "configuration_missing"),
        (RuntimeError("anna@example.org"), 500, "internal"),
    ],
)
def test_a_failure_inside_is_a_sentence_without_details(
    desk: Desk, error: Exception, status: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(request: RunRequest, job_id: str, caller: str) -> Job:
        raise error

    monkeypatch.setattr(desk.starter, "add", fail)
    answered, told = desk.ask("POST", "/v1/syncs", {"entities": ["orders"]})
    assert (answered, told["error"]) == (status, code)
    assert "anna" not in json.dumps(told)

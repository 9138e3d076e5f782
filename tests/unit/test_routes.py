"""The HTTP trigger: what it starts, what it refuses with which status and sentence, and what it tells."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from hybrid_sync.admission.gate import Standing
from hybrid_sync.admission.job import Job, JobState, new_job
from hybrid_sync.contracts import OnFailure, Profile, Ref, RunPriority, RunRequest
from hybrid_sync.errors import AwsUnavailable, ConfigurationMissing, QueueFull, RequestForbidden
from hybrid_sync.http.answers import LONGEST_BODY
from hybrid_sync.http.endpoint import Endpoint
from hybrid_sync.http.endpoints import ENDPOINTS
from hybrid_sync.http.routes import served_by
from hybrid_sync.http.scopes import ERASE, OPERATE, SCOPES, WRITE
from hybrid_sync.runs.starter import RunState
from hybrid_sync.services import starts
from tests.unit.asking import STARTED, Desk, event


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


@pytest.mark.parametrize("wish", ["erase", "merge"])
def test_only_a_token_that_may_erase_has_somebody_erased(desk: Desk, wish: str) -> None:
    body = {"refs": [{"entity": "patients", "legacy_id": 5}], "act": wish}
    others = " ".join(scope for scope in SCOPES if scope != ERASE)
    for scopes, status in ((others, 403), (f"{WRITE} {ERASE}", 202)):
        given = event("POST", "/v1/syncs", json.dumps(body), {})
        given["requestContext"]["authorizer"]["scopes"] = scopes
        answered, told = desk.send(given)
        assert answered == status, told
        assert len(desk.starter.runs) == (status == 202)
    assert desk.only_run().act == wish and desk.only_run().requested_by == "token-1"


def test_an_operator_starts_no_run_that_erases(desk: Desk) -> None:
    request = RunRequest(profile=Profile.on_demand, refs=(Ref(entity="patients", legacy_id=5),), act="erase")
    with pytest.raises(RequestForbidden, match="Operators start runs, and erase nobody"):
        starts.sync(desk, starts.StartAsked(run_id="on_demand-20261129T010000-4fc1d2", request=request), "arn:x")
    assert desk.starter.runs == {}


def test_an_unknown_policy_is_refused_in_one_sentence(desk: Desk) -> None:
    status, told = desk.ask("POST", "/v1/syncs", {"entities": ["orders"], "on_failure": "undo"})
    assert status == 422
    assert told["detail"] == "on_failure: Input should be 'keep', 'hold' or 'rollback'."
    assert desk.starter.runs == {}


def test_a_key_that_is_no_list_is_told_in_the_words_of_json(desk: Desk) -> None:
    body = {"entity": "orders", "keys": [17229], "why": "known"}
    status, told = desk.ask("POST", "/v1/failures/accept", body)
    assert (status, told["detail"]) == (422, "keys.0: Input should be a valid list.")


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
    "rows in a weekly run": ({"profile": "verify", "refs": [{"entity": "orders", "legacy_id": 3}]}, "on_demand run"),
    "an unknown include": ({"entities": ["orders"], "include": "everything"}, "include"),
    "a time without a zone": ({"entities": ["orders"], "since": "2026-11-01T00:00:00"}, "since"),
    "a range backwards": (
        {"entities": ["orders"], "since": "2026-11-02T00:00:00Z", "until": "2026-11-01T00:00:00Z"},
        "`since` must be earlier",
    ),
    "a range without a time of change": ({"entities": ["offices"], "since": "2026-11-02T00:00:00Z"}, "time of change"),
    "everybody erased": ({"entities": ["patients"], "act": "erase"}, "to erase, name rows in `refs` and nothing else"),
    "too many rows": ({"refs": [{"entity": "orders", "legacy_id": n} for n in range(501)]}, "refs"),
    "a list": ([1, 2], ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses(desk: Desk, case: str) -> None:
    body, sentence = REFUSED[case]
    status, told = desk.ask("POST", "/v1/syncs", body)
    assert (status, told["code"]) == (422, "request_rejected")
    assert sentence in told["detail"]
    assert told["remedy"]
    assert desk.starter.runs == {}


def test_a_body_above_256_kb_is_too_large_and_one_below_is_read(desk: Desk) -> None:
    for size, expected in ((LONGEST_BODY, (422, "request_rejected")), (LONGEST_BODY + 1, (413, "body_too_large"))):
        body = json.dumps({"entities": ["orders"], "x": ""})
        status, told = desk.ask("POST", "/v1/syncs", body[:-2] + "x" * (size - len(body)) + body[-2:])
        assert (status, told["code"]) == expected
    encoded = event("POST", "/v1/syncs", base64.b64encode(b"x" * (LONGEST_BODY + 1)).decode(), {})
    assert desk.send({**encoded, "isBase64Encoded": True})[0] == 413
    assert desk.ask("POST", "/v1/syncs", "é" * (LONGEST_BODY // 2 + 1))[0] == 413  # bytes, not letters


def test_a_refusal_is_a_problem_with_its_type_and_the_requests_id(desk: Desk) -> None:
    answer = desk.api.resolve(event("GET", "/v1/syncs/a.b", None, {}))
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert json.loads(answer["body"]) == {
        "type": "urn:hybrid-sync:problem:run_not_found",
        "title": "Run not found",
        "status": 404,
        "detail": "That is no run id.",
        "code": "run_not_found",
        "remedy": "Ask for the run_id that POST /v1/syncs returned.",
        "instance": "urn:hybrid-sync:request:1",
    }


@pytest.mark.parametrize(
    ("context", "scheme", "base"),
    [
        ({"domainName": "a.example", "path": "/live/v1/syncs"}, "", "https://a.example/live"),
        ({"domainName": "a.example", "path": "/live/v1/syncs/"}, "https", "https://a.example/live"),
        ({"domainName": "a.example", "path": "/v1/syncs"}, "https", "https://a.example"),
        ({"domainName": "a.example", "path": "/sync/eu/v1/syncs"}, "javascript", "https://a.example/sync/eu"),
        (
            {"domainName": "127.0.0.1:4566", "path": "/_aws/execute-api/a/live/v1/syncs"}, "http",
            "http://127.0.0.1:4566/_aws/execute-api/a/live",
        ),
        ({"path": "/live/v1/syncs"}, "", "/live"),
        ({}, "", ""),
    ],
)  # fmt: skip
def test_a_link_stands_below_what_the_caller_has_asked(
    desk: Desk, context: dict[str, str], scheme: str, base: str
) -> None:
    given = event("POST", "/v1/syncs", '{"entities": ["orders"]}', {"X-Forwarded-Proto": scheme})
    answer = desk.api.resolve({**given, "requestContext": context})
    [run_id] = desk.starter.runs
    assert answer["statusCode"] == 202
    assert answer["headers"]["Location"] == f"{base}/v1/syncs/{run_id}"
    assert json.loads(answer["body"])["status_url"] == answer["headers"]["Location"]


def test_a_dry_run_is_judged_and_starts_nothing(desk: Desk) -> None:
    body = {"entities": ["orders"], "dry_run": True}
    assert desk.ask("POST", "/v1/syncs", body) == (
        200, {"run_id": "", "status": "would start", "status_url": "", "why": ""},
    )  # fmt: skip
    assert desk.ask("POST", "/v1/syncs", {**body, "entities": ["nonsense"]})[0] == 422
    assert desk.starter.runs == {}


def test_a_run_of_another_profile_is_an_operators(desk: Desk) -> None:
    given = event("POST", "/v1/syncs", '{"profile": "weekly"}', {})
    assert desk.send(given)[1]["code"] == "request_forbidden"
    given["requestContext"]["authorizer"]["scopes"] = f"{WRITE} {OPERATE}"
    assert desk.send(given)[0] == 202
    assert (desk.only_run().profile, desk.only_run().entities) == (Profile.weekly, ())


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_every_endpoint_is_served(endpoint: Endpoint) -> None:
    assert callable(served_by(endpoint))


@pytest.mark.parametrize("body", ["{", None, "entities=orders"])
def test_a_body_that_is_no_json_is_a_bad_request(desk: Desk, body: str | None) -> None:
    status, told = desk.ask("POST", "/v1/syncs", body)
    assert (status, told["code"]) == (400, "body_invalid")


@pytest.mark.parametrize("body", [
    '{"entities": ["orders"], "entities": ["payments"]}',
    '{"refs": [{"entity": "orders", "legacy_id": 1, "legacy_id": 2}]}',
])  # fmt: skip
def test_a_body_with_a_name_twice_is_refused_and_not_half_of_it_served(desk: Desk, body: str) -> None:
    status, told = desk.ask("POST", "/v1/syncs", body)
    assert (status, told["code"]) == (400, "body_invalid")
    assert "twice" in told["detail"]


def test_the_same_key_and_request_start_one_run(desk: Desk) -> None:
    first = desk.ask("POST", "/v1/syncs", {"entities": ["orders"]}, Idempotency_Key="evt-1")
    assert desk.ask("POST", "/v1/syncs", {"entities": ["orders"]}, Idempotency_Key="evt-1") == first
    assert len(desk.starter.runs) == 1


def test_the_same_key_for_another_request_conflicts(desk: Desk) -> None:
    desk.ask("POST", "/v1/syncs", {"entities": ["orders"]}, Idempotency_Key="evt-1")
    status, told = desk.ask("POST", "/v1/syncs", {"entities": ["cases"]}, Idempotency_Key="evt-1")
    assert (status, told["code"]) == (409, "request_conflicts")


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
    answer = desk.api.resolve(given)
    assert answer["statusCode"] == 429
    assert answer["headers"]["Retry-After"] == "60"


def test_without_its_report_a_run_is_not_said_to_have_succeeded_because_its_execution_has(desk: Desk) -> None:
    desk.starter.states["weekly-1"] = RunState("weekly-1", "succeeded", STARTED, STARTED)
    assert desk.ask("GET", "/v1/syncs/weekly-1")[1]["status"] == "ended"


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


def test_what_can_be_no_run_is_not_found_whoever_is_away(desk: Desk) -> None:
    for run_id in ("a.b", "x" * 121, "%2e%2e"):
        status, told = desk.ask("GET", f"/v1/syncs/{run_id}")
        assert (status, told["code"]) == (404, "run_not_found")
    # Of any other nobody can say that there is none.
    assert desk.ask("GET", "/v1/syncs/nothing")[1]["code"] == "target_unavailable"


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
    assert (answered, told["code"]) == (status, code)
    assert "anna" not in json.dumps(told)

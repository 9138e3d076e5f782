"""What is done over HTTP stands in the audit trail, as operators' commands do, with what came of it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from hybrid_sync.http.routes import Api
from tests.cli.gateway import Desk
from tests.report.records import create_schema
from tests.unit.asking import Starter, event

ASKED = '{"entities": ["offices"], "priority": "critical"}'


@pytest.fixture
def store(target_db: str) -> Any:
    with psycopg.connect(target_db, autocommit=True) as connection:
        create_schema(connection)
        yield connection


def ask(desk: Desk, method: str, path: str, body: str | None = None, **headers: str) -> int:
    given = event(method, path, body, headers)
    given["requestContext"]["identity"] = {"sourceIp": "192.0.2.7"}
    given["requestContext"]["authorizer"] = {"principalId": "user:42", "scopes": "syncs:read syncs:write"}
    return int(Api(desk).resolve(given)["statusCode"])


def trail(store: Any) -> list[tuple[Any, ...]]:
    found = store.execute("select who, source_ip, request_id, command, what, outcome, code from hybrid_sync.audit")
    return list(found.fetchall())


@pytest.fixture
def asked(desk: Desk) -> Desk:
    desk.gate = desk.executions = Starter()
    return desk


def test_a_start_is_recorded_with_its_run_and_a_look_is_not(store: Any, asked: Desk) -> None:
    assert ask(asked, "POST", "/v1/syncs", ASKED) == 202
    [run_id] = asked.gate.runs
    assert ask(asked, "GET", f"/v1/syncs/{run_id}") == 200
    what = {"run_id": run_id, "entities": ["offices"], "priority": "critical"}
    assert trail(store) == [("user:42", "192.0.2.7", "1", "POST /v1/syncs", what, "done", None)]


@pytest.mark.parametrize(
    ("body", "status", "what", "code"),
    [
        ("no json", 400, {}, "body_invalid"),
        ('{"entities": ["nope"]}', 422, {"entities": ["nope"]}, "request_rejected"),
        ('{"entities": ["offices"], "on_failure": "rollback"}', 403,
         {"entities": ["offices"], "on_failure": "rollback"}, "request_forbidden"),
    ],
)  # fmt: skip
def test_a_refused_start_is_recorded_with_why(
    store: Any, asked: Desk, body: str, status: int, what: dict[str, Any], code: str
) -> None:
    assert ask(asked, "POST", "/v1/syncs", body) == status
    assert trail(store) == [("user:42", "192.0.2.7", "1", "POST /v1/syncs", what, "refused", code)]


def test_a_start_does_not_fail_for_its_record(asked: Desk) -> None:
    """There is no schema in this target."""
    assert ask(asked, "POST", "/v1/syncs", ASKED) == 202

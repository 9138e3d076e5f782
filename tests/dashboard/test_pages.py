"""The pages say what the views say: escaped, linked below any prefix, and only what has changed once they are open."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urljoin

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pydantic import BaseModel

from hybrid_sync.recorded.levels import Levels
from hybrid_sync.services.messages.trail import Trail
from hybrid_sync.services.roles import Role
from hybrid_sync.services.views.entity import Entities, EntityView
from hybrid_sync.services.views.model import Overview
from hybrid_sync.services.views.run import RunView
from tests.dashboard.conftest import AsRole
from tests.report.records import EQUATION, add_entity, add_failed, add_run
from tests.views.conftest import Looked

Store = psycopg.Connection[Any]
BELOW = ("https://abc.execute-api.eu-west-1.amazonaws.com/live", "http://127.0.0.1:4566/_aws/execute-api/abc/live")


@pytest.fixture
def with_runs(store: Store) -> None:
    add_run(store, "r1", "degraded")
    add_entity(store, "r1", "payments", conservation=EQUATION)
    add_entity(store, "r1", "offices", status="failed", failure={"code": "held", "text": "<b>Offices</b> are held."})
    add_failed(store, 7, "bad_json", status="escalated")


@pytest.mark.parametrize("base", BELOW)
@pytest.mark.parametrize("path", ["/dashboard", "/dashboard/runs/r1", "/dashboard/levels", "/dashboard/sign-in"])
@pytest.mark.usefixtures("with_runs")
def test_every_link_leads_below_the_stage_whatever_stands_before_it(as_role: AsRole, base: str, path: str) -> None:
    body = as_role(Role.operator).get(path).body
    links = re.findall(r'(?:href|src|action)="([^"#]+)"', body)
    assert links
    for link in links:
        if not link.startswith("data:"):
            assert urljoin(base + path, link).startswith(f"{base}/dashboard"), link


@pytest.mark.usefixtures("with_runs")
def test_the_overview_says_what_is_wrong_and_which_button_helps(as_role: AsRole) -> None:
    body = as_role(Role.operator).get("/dashboard").body
    assert "87 of 90 rows are in the target as legacy has them" in body
    assert 'href="dashboard/act/retry?of=payments/bad_json"' in body
    assert "&lt;b&gt;Offices&lt;/b&gt; are held." in body


@pytest.mark.usefixtures("with_runs")
def test_whoever_only_looks_is_offered_no_button(as_role: AsRole) -> None:
    body = as_role(Role.viewer).get("/dashboard").body
    assert "/act/" not in body
    assert "ask an operator" in body


@pytest.mark.usefixtures("with_runs")
def test_while_the_target_is_away_nothing_is_claimed_of_it(as_role: AsRole, looked: Looked) -> None:
    looked.target_dsn = make_conninfo(looked.target_dsn, port="1")
    looked.outlook.answers["Target"] = lambda: None  # as it was a moment ago
    body = as_role(Role.viewer).get("/dashboard").body
    assert "Nobody can tell while the target does not let us in; the goal is 99 %" in body
    assert "Target does not answer" in body
    for claim in ("verified yet", "No scheduled run", "never carried", "No critical sync", 'id="weeks"', 'id="queues"'):
        assert claim not in body


@pytest.mark.usefixtures("with_runs")
def test_an_open_page_hears_only_of_what_has_changed(as_role: AsRole, store: Store) -> None:
    browser = as_role(Role.viewer)
    page = browser.get("/dashboard").body
    seen = re.search(r'hx-get="\?seen=([0-9a-f]{16})"', page)
    assert seen
    assert browser.get("/dashboard", {"seen": seen[1]}, hx_request="true").status == 204
    add_failed(store, 8, "bad_json", status="escalated")
    told = browser.get("/dashboard", {"seen": seen[1]}, hx_request="true")
    assert told.status == 200
    assert told.body.startswith('<div id="live"') and "<html" not in told.body


@pytest.mark.usefixtures("with_runs")
def test_a_run_says_why_it_ended_as_it_did(as_role: AsRole) -> None:
    body = as_role(Role.operator).get("/dashboard/runs/r1").body
    assert "Degraded. offices: &lt;b&gt;Offices&lt;/b&gt; are held" in body
    assert "Bad JSON" in body and "payment:7" in body
    assert 'href="../act/rollback?of=r1"' in body


def test_what_is_not_there_is_a_sentence(as_role: AsRole) -> None:
    for path in ("/dashboard/nowhere", f"/dashboard/{'x' * 200}", "/dashboard/assets/1/secrets.css"):
        told = as_role(Role.viewer).get(path)
        assert told.status == 404
        assert "There is nothing at this address." in told.body


def test_files_of_the_pages_may_be_kept_because_their_address_changes(as_role: AsRole) -> None:
    browser = as_role(None)
    page = browser.get("/dashboard/sign-in").body
    names = re.findall(r'"\./(assets/[0-9a-f]{12}/[a-z.]+)"', page)
    assert len(names) == 3
    for name in names:
        told = browser.get(f"/dashboard/{name}")
        assert (told.status, "immutable" in told.headers["Cache-Control"]) == (200, True)


@pytest.mark.usefixtures("with_runs")
@pytest.mark.parametrize(
    ("path", "model"),
    [("/dashboard", Overview), ("/dashboard/runs/r1", RunView), ("/dashboard/entities", Entities),
     ("/dashboard/entities/payments", EntityView), ("/dashboard/levels", Levels), ("/dashboard/audit", Trail)],
)  # fmt: skip
def test_a_program_is_told_what_is_behind_the_page(as_role: AsRole, path: str, model: type[BaseModel]) -> None:
    browser = as_role(None)
    told = browser.get(path, accept="application/json", authorization="Bearer token-of-viewer")
    assert (told.status, told.headers["Content-Type"]) == (200, "application/json")
    model.model_validate_json(told.body)
    refused = browser.get(path, accept="application/json", authorization="Bearer wrong")
    assert (refused.status, json.loads(refused.body)["code"]) == (401, "unauthorized")


@pytest.mark.usefixtures("with_runs")
def test_an_entity_says_how_it_stands_and_what_it_misses(as_role: AsRole) -> None:
    body = as_role(Role.operator).get("/dashboard/entities/payments").body
    assert "87 of 90 rows are as legacy has them" in body
    assert 'href="../records?ref=payments/payment%3A7"' in body
    assert as_role(Role.viewer).get("/dashboard/entities/nope").status == 422


def test_the_audit_trail_goes_on_behind_its_first_page(as_role: AsRole, store: Store) -> None:
    store.execute(
        "insert into hybrid_sync.audit (request_id, who, source_ip, command, what, outcome)"
        " select n::text, 'user:ann', '127.0.0.1', 'hold', jsonb_build_object('why', 'act ' || n), 'done'"
        " from generate_series(1, 60) n"
    )
    first = as_role(Role.operator).get("/dashboard/audit")
    assert first.status == 200 and "act 60<" in first.body and "act 10<" not in first.body
    older = re.findall(r'href="[^"]*audit\?before=(\d+)"', first.body)
    rest = as_role(Role.operator).get("/dashboard/audit", {"before": older[0]})
    assert "act 10<" in rest.body and "act 11<" not in rest.body


_ASKED = """
insert into hybrid_sync.run (run_id, profile, trigger, priority, request, status, fence, catalog_hash, build,
                             deadline_at)
select 'asked-' || n, 'on_demand', 'api', 'normal',
       '{"requested_by": "<b>token:1</b>", "refs": [{"entity": "payments"}]}', 'succeeded', '{}', '', '', now()
from generate_series(1, 90) n;
insert into hybrid_sync.run_entity (run_id, entity, wave, status)
  select run_id, 'payments', 0, 'verified' from hybrid_sync.run where trigger = 'api';
"""


def test_usage_says_who_asks_and_which_schedule_would_fit_better(as_role: AsRole, store: Store) -> None:
    assert "Nobody has asked for a run." in as_role(Role.viewer).get("/dashboard/usage").body
    store.execute(_ASKED)
    body = as_role(Role.viewer).get("/dashboard/usage").body
    assert "&lt;b&gt;token:1&lt;/b&gt;" in body and "<b>token" not in body
    assert "payments: 90 on-demand runs for 1 different keys in 28 days, $0.0000; add it to a daily run." in body
    assert as_role(Role.viewer).get("/dashboard/usage", {"days": "x"}).status == 422


def test_a_run_says_what_held_it_up_and_what_to_do(as_role: AsRole, store: Store) -> None:
    add_run(store, "r1", "succeeded")
    times = {"lock": [4, 45_000_000, 1, 1], "lock target": [4, 45_000_000, 1, 11_000_000]}
    store.execute(
        "insert into hybrid_sync.run_usage values ('r1', 'payments', 's-sync-batch', 512, 4, 60000, 4, 0, 0, '{}', %s)",
        (json.dumps(times),),
    )
    for path, query in (("/dashboard/runs/r1", {}), ("/dashboard/performance", {"run": "r1"})):
        body = as_role(Role.viewer).get(path, query).body
        assert "Lock waits" in body and "75.00 % of the time" in body
    assert 'href="./performance/advice"' in body
    assert "Batches of payments waited 45.0 s for locks in the target, 11.0 s at once." in body


def test_performance_of_what_was_never_measured_is_a_sentence(as_role: AsRole) -> None:
    assert "No run was measured yet." in as_role(Role.viewer).get("/dashboard/performance").body
    told = as_role(Role.viewer).get("/dashboard/performance", {"run": "none"})
    assert (told.status, "There is no run none" in told.body) == (404, True)


def test_index_advice_says_of_what_none_was_asked(as_role: AsRole) -> None:
    body = as_role(Role.viewer).get("/dashboard/performance/advice").body
    assert "0 statements explained" in body or "no statements explained" in body
    assert "Not looked at" in body

"""Every act says first what follows, needs the operator's role, and stands in the audit trail with what came of it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from hybrid_sync.dashboard.acts import KINDS
from hybrid_sync.services.commands import COMMANDS
from hybrid_sync.services.roles import Role
from tests.dashboard.conftest import AsRole, Browser
from tests.report.records import add_run
from tests.views.conftest import Looked

Store = psycopg.Connection[Any]


def press(browser: Browser, kind: str, of: str, **fields: str) -> Any:
    """Open the page that says what follows, and send its form."""
    page = browser.get(f"/dashboard/act/{kind}", {"of": of})
    assert page.status == 200
    return browser.post(f"/dashboard/act/{kind}", {"csrf": page.csrf, "of": of, **page.hidden, **fields})


def trail(store: Store) -> list[tuple[Any, ...]]:
    return store.execute(
        "select who, command, outcome, what->>'of' from hybrid_sync.audit order by audit_id"
    ).fetchall()


def test_each_act_is_a_command_of_the_operators_and_needs_the_same_role() -> None:
    for kind in KINDS.values():
        command = COMMANDS[kind.command]
        assert (kind.role, command.changes) == (command.role, True)


def test_an_entity_is_held_with_a_reason_and_released_again(as_role: AsRole, store: Store) -> None:
    browser = as_role(Role.operator)
    told = press(browser, "hold", "offices", why="Being repaired.")
    assert (told.status, told.headers["Location"]) == (303, "../entities/offices?did=held")
    seen = browser.get("/dashboard/entities/offices", {"did": "held"}).body
    assert "It is held." in seen and "Being repaired." in seen

    assert press(browser, "release", "offices").status == 303
    assert "Being repaired." not in browser.get("/dashboard/entities/offices").body
    assert [line[:3] for line in trail(store)] == [("operator", "hold", "done"), ("operator", "release", "done")]
    audit = browser.get("/dashboard/audit").body
    assert "hold" in audit and "Being repaired." in audit and "192.0.2.7" in audit


def test_a_hold_without_a_reason_is_refused_and_that_is_recorded(as_role: AsRole, store: Store) -> None:
    told = press(as_role(Role.operator), "release", "offices")
    assert (told.status, "offices is not held" in told.body) == (422, True)
    assert [line[:3] for line in trail(store)] == [("operator", "release", "refused")]


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_only_looks_can_do_nothing_and_trying_is_recorded(as_role: AsRole, store: Store, kind: str) -> None:
    browser = as_role(Role.viewer)
    csrf = browser.get("/dashboard").csrf
    told = browser.post(f"/dashboard/act/{kind}", {"csrf": csrf, "of": "offices"})
    assert (told.status, "needs the role operator" in told.body) == (403, True)
    assert trail(store) == [("viewer", KINDS[kind].command, "refused", "offices")]


def test_whoever_only_looks_is_told_what_would_follow_and_gets_no_button(as_role: AsRole) -> None:
    told = as_role(Role.viewer).get("/dashboard/act/hold", {"of": "offices"})
    assert "Nothing is written to it from now on" in told.body
    assert 'action="../act/hold"' not in told.body


def test_a_run_starts_once_however_often_its_form_is_sent(as_role: AsRole, looked: Looked) -> None:
    browser = as_role(Role.operator)
    page = browser.get("/dashboard/act/resync", {"of": "payments"})
    form = {"csrf": page.csrf, "of": "payments", **page.hidden, "keys": "7, 12"}
    first, second = (browser.post("/dashboard/act/resync", form).headers["Location"] for _ in range(2))
    assert first == second
    [(request, job_id)] = looked.gate.added
    assert [ref.key for ref in request.refs] == [(7,), (12,)]
    assert f"../runs/{job_id}?did=started" == first


def test_a_key_that_is_none_is_refused_before_anything_starts(as_role: AsRole, looked: Looked) -> None:
    told = press(as_role(Role.operator), "resync", "payments", keys="seven")
    assert (told.status, "seven is no key" in told.body) == (422, True)
    assert looked.gate.added == []


def test_a_run_is_run_again_with_what_it_was_asked_for(as_role: AsRole, store: Store, looked: Looked) -> None:
    add_run(store, "r1", "failed")
    store.execute('update hybrid_sync.run set request = \'{"profile": "daily", "entities": ["offices"]}\'')
    assert press(as_role(Role.operator), "run-again", "r1").status == 303
    [(request, _)] = looked.gate.added
    assert (request.profile, request.entities, request.trigger) == ("daily", ("offices",), "dashboard")


def test_a_rollback_is_previewed_before_it_is_begun(as_role: AsRole, store: Store) -> None:
    add_run(store, "r1")
    store.execute("select hybrid_sync.ensure_journal_partition(now())")
    told = as_role(Role.operator).get("/dashboard/act/rollback", {"of": "r1"})
    assert told.status == 200
    assert "The entities are held" in told.body

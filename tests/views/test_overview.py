"""The overview: true at a glance, in one trip, whatever is away, and as fast with 10,000 failed records."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, NoReturn

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hybrid_sync.admission.gate import Standing
from hybrid_sync.admission.job import JobState, new_job
from hybrid_sync.breaker.state import Breaker, Refusal, refusal
from hybrid_sync.contracts import Profile, RunRequest
from hybrid_sync.errors import LegacyUnavailable, PartMissing, TargetUnavailable
from hybrid_sync.report.document import Tone
from hybrid_sync.servers.refused import no_connection_left
from hybrid_sync.services.messages.runs import OverviewAsked, RunAsked, StatusAsked
from hybrid_sync.services.runs import report, status
from hybrid_sync.services.views.model import Overview
from hybrid_sync.services.views.needs import STRANGE_FROM
from hybrid_sync.services.views.overview import overview
from hybrid_sync.services.views.run import RunViewAsked, run_view
from tests.engine.wait_counter import WaitCounter
from tests.report.records import EQUATION, add_entity, add_failed, add_run
from tests.views.conftest import NOW, Looked

Store = psycopg.Connection[Any]
MOST_STATEMENTS = 16


def look(looked: Any) -> Overview:
    return overview(looked, OverviewAsked(), "somebody")


def money(**changes: Any) -> dict[str, Any]:
    line = {
        "column": "total", "currency": "USD", "legacy": "100.00", "current": "90.00", "stale": "4.00",
        "absent": "6.00", "excluded": "0", "target": "93.00", "missing": "7.00", "rows": 90, "equal": True,
        "agrees": False,
    }  # fmt: skip
    return {**line, **changes}


def test_before_anything_has_run_nothing_is_claimed(looked: Looked) -> None:
    seen = look(looked)
    assert seen.state.tone is Tone.quiet
    assert seen.state.sentence == "Nothing has been verified yet."
    assert (seen.rows, seen.money, seen.needs, seen.running, seen.runs) == (None, (), (), (), ())
    assert [run.at.isoformat() for run in seen.next_runs if run.at] == ["2026-01-11T01:00:00+00:00"]
    assert len(seen.weeks) == 12


def test_the_state_is_one_sentence_with_rows_money_and_what_needs_a_person(looked: Looked, store: Store) -> None:
    add_run(store, "r1", "degraded")
    add_entity(store, "r1", "payments", conservation=EQUATION, money=[money()])
    add_failed(store, 7, "bad_json", status="escalated")

    seen = look(looked)

    assert seen.state.tone is Tone.warning
    assert seen.state.sentence.startswith(
        "87 of 90 rows are in the target as legacy has them (96.67 %),"
        " and their money agrees to the cent in 1 currency. 1 thing needs a person."
    )
    [usd] = seen.money
    assert (usd.currency, str(usd.legacy), str(usd.current), usd.equal) == ("USD", "100.00", "90.00", True)
    [need] = seen.needs
    assert (need.subject, need.records, need.act and need.act.kind) == ("payments", 1, "retry")
    assert "payment:7" in need.cause
    assert need.last_good == seen.runs[0].started_at.replace(minute=1, second=30)


def test_a_hold_says_who_holds_it_since_when_and_how_it_is_released(looked: Looked, store: Store) -> None:
    store.execute(
        "insert into hybrid_sync.entity_state (entity, held, held_by, held_why, held_at)"
        " values ('offices', true, 'ann', 'Being repaired.', %s)",
        (NOW,),
    )
    [need] = look(looked).needs
    assert (need.since, need.cause) == (NOW, "Being repaired. Held by ann.")
    assert need.act is not None and (need.act.kind, need.act.of) == ("release", "offices")


def test_what_has_left_the_catalog_is_linked_to_nowhere(looked: Looked, store: Store) -> None:
    """A hold on it can be ended by command; what somebody has accepted of it is nobody's concern any more."""
    store.execute("insert into hybrid_sync.entity_state (entity, held, held_at) values ('gone', true, %s)", (NOW,))
    add_run(store, "r1", "degraded")
    add_failed(store, 7, "bad_json", entity="gone", status="accepted")
    seen = look(looked)
    [need] = seen.needs
    assert (need.title, need.href, need.act, need.command) == ("gone is held", "", None, "hybrid-sync release gone")
    assert "The catalog has no such entity any more" in need.remedy
    assert sum(one.records or 0 for one in seen.queues) == 0


def test_money_that_differs_is_the_worst_that_can_be_said(looked: Looked, store: Store) -> None:
    add_run(store, "r1", "failed")
    add_entity(store, "r1", "payments", conservation=EQUATION, money=[money(equal=False)])
    seen = look(looked)
    assert seen.state.tone is Tone.bad
    assert "money does not agree in USD" in seen.state.sentence
    assert [need.act.kind for need in seen.needs if need.act] == ["run-again", "verify"]


def test_what_does_not_answer_is_named_and_the_rest_is_told(looked: Looked) -> None:
    away = LegacyUnavailable("Legacy refuses connections.", "It is tried again.")
    looked.outlook.answers["Legacy"] = lambda: raise_(away)
    looked.gate.away = True
    seen = look(looked)
    assert [(one.ok, one.said) for one in seen.servers] == [(False, "Legacy refuses connections. It is tried again.")]
    assert seen.needs[0].title == "Legacy does not answer"


def test_a_control_table_that_is_gone_is_named_and_done_without(
    looked: Looked, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = PartMissing("The control table is missing (ResourceNotFoundException).", "hybrid-sync repair makes it anew.")
    monkeypatch.setattr(looked.gate, "at_work", lambda: raise_(gone))
    looked.outlook.answers["Control table"] = lambda: raise_(gone)
    [need] = look(looked).needs
    assert (need.title, need.command) == ("Control table is gone", "hybrid-sync repair")


def test_while_a_database_is_away_its_end_is_waited_for_by_name(looked: Looked, store: Store) -> None:
    add_run(store, "r1", "running")
    gone = Refusal("legacy_unavailable", "It does not let us in.", needs_person=False)
    breaker = looked.breakers.legacy = Breaker(away_since=NOW, opened_at=NOW, why=gone, next_probe=NOW)
    looked.outlook.answers["Legacy"] = lambda: raise_(refusal("legacy", breaker, NOW))
    looked.load.shed = "At most 3 batches are at work at once since 11:50 UTC: target answered 55P03 (busy)."
    seen = look(looked)
    [need] = seen.needs
    assert (need.since, need.subject, need.command) == (NOW, "Legacy", "hybrid-sync check")
    assert seen.running[0].waiting_for == (
        "The legacy database has been away since 2026-01-07 12:00 UTC. It does not let us in."
        " Next probe at 12:00:00 UTC",
        "its turn, throttled: At most 3 batches are at work at once since 11:50 UTC: target answered 55P03 (busy)",
    )


def test_whose_capacity_is_used_up_is_said_of_each_run_that_waits_for_it(looked: Looked, store: Store) -> None:
    add_run(store, "r1", "running")
    add_run(store, "r2", "running")
    begins = new_job("r3", RunRequest(profile=Profile.weekly), "ann", NOW)
    looked.gate.standings = [Standing(replace(begins, state=JobState.admitted))]
    looked.outlook.refused = "Lambda has refused calls for want of capacity, at 11:58 UTC the last time."
    full = "The target database, or its pooler, has no connection left, since 11:57 UTC"
    looked.throttling.by_run = {"r2": full, "r3": full}
    of_all = "its turn, throttled: Lambda has refused calls for want of capacity, at 11:58 UTC the last time"
    of_two = "its turn, throttled: The target database, or its pooler, has no connection left, since 11:57 UTC"
    assert {run.run_id: run.waiting_for for run in look(looked).running} == {
        "r1": (of_all,), "r2": (of_all, of_two), "r3": (of_all, of_two, "its plan"),
    }  # fmt: skip
    asked = RunViewAsked(run_id="r2")
    shown = run_view(looked, asked, "somebody")  # type: ignore[arg-type]
    assert shown.verdict == f"At work; it is not planned yet. It waits for {of_all}."
    assert shown.running is not None and shown.running.waiting_for == (of_all, of_two)
    assert report(looked, RunAsked(run_id="r2", as_ended=False), "somebody").waits_for == (of_all, of_two)  # type: ignore[arg-type]
    rows = {row["run_id"]: row for row in status(looked, StatusAsked(), "somebody").runs}  # type: ignore[arg-type]
    assert (rows["r1"]["waits_for"], rows["r2"]["waits_for"]) == ((of_all,), (of_all, of_two))


def test_a_target_without_a_free_connection_is_told_as_one_that_is_away(looked: Looked, store: Store) -> None:
    looked.connect_target = refuse  # type: ignore[method-assign]
    looked.outlook.answers["Target"] = lambda: None  # as it was a moment ago
    seen = look(looked)
    assert seen.away.startswith("The target database, or its pooler, has no connection left.")
    assert [(need.title, need.cause) for need in seen.needs] == [("Target does not answer", seen.away)]


def refuse() -> NoReturn:
    raise no_connection_left("target")


def raise_(error: Exception) -> None:
    raise error


def test_a_target_that_is_away_is_the_state_and_no_error(looked: Looked) -> None:
    looked.target_dsn = make_conninfo(looked.target_dsn, port="1")
    seen = look(looked)
    assert seen.state.tone is Tone.bad
    assert seen.away and seen.away in seen.state.sentence
    looked.outlook.answers["Target"] = lambda: raise_(TargetUnavailable("It is away."))
    assert [need.title for need in look(looked).needs] == ["Target does not answer"]


def test_a_scheduled_run_that_never_began_needs_a_person_until_one_has(looked: Looked, store: Store) -> None:
    add_run(store, "r1")
    add_entity(store, "r1", "payments", conservation=EQUATION, money=[money(agrees=True, missing="0.00")])
    weekly = new_job("weekly-20260107T010000", RunRequest(profile=Profile.weekly), "the clock", NOW)
    looked.gate.ill = replace(weekly, state=JobState.failed, outcome="failed", ended_at=NOW)
    said = "The id secret is not the one that the target's ids come from."
    looked.reports.left[weekly.job_id] = {"status": "failed", "failure": {"code": "configuration", "text": said}}

    seen = look(looked)

    assert seen.state.tone is Tone.bad
    assert seen.last_run is not None and seen.last_run.run_id == weekly.job_id
    [need] = [one for one in seen.needs if one.subject == weekly.job_id]
    assert (need.title, need.cause, need.since) == ("The last weekly sync never began", said, NOW)
    assert need.act is not None and (need.act.kind, need.act.of) == ("run", "weekly")

    add_run(store, "r2")
    later = {"began": NOW + timedelta(hours=1), "ended": NOW + timedelta(hours=2)}
    store.execute(
        "update hybrid_sync.run set started_at = %(began)s, finished_at = %(ended)s where run_id = 'r2'", later
    )
    assert [one.subject for one in look(looked).needs if one.subject == weekly.job_id] == []


def test_a_run_that_was_stopped_is_said_until_the_next_one(looked: Looked, store: Store) -> None:
    add_run(store, "r1", "cancelled")
    [need] = look(looked).needs
    assert (need.title, need.tone) == ("The last weekly sync was stopped", Tone.warning)
    assert "nothing is lost in between" in need.remedy and need.act is not None and need.act.kind == "run-again"


def test_many_messages_about_no_record_are_junk_and_a_few_are_late(looked: Looked, store: Store) -> None:
    looked.outlook.lengths = {"failed": STRANGE_FROM - 1}
    assert look(looked).needs == ()
    looked.outlook.lengths = {"failed": STRANGE_FROM}
    [need] = look(looked).needs
    assert (need.subject, need.title) == ("failed", f"{STRANGE_FROM} messages are none of ours")
    assert "Nothing is lost" in need.remedy and need.command == "hybrid-sync failures redrive --all"


def test_ten_thousand_failed_records_are_one_trip_of_few_statements(looked: Looked, store: Store) -> None:
    """The bound is on statements and trips: the second that the page may take is measured by `make bench`."""
    add_run(store, "r1", "degraded")
    add_entity(store, "r1", "payments", conservation=EQUATION, money=[money()])
    store.execute(
        "insert into hybrid_sync.failed_record (entity, source, key, reason, first_run, last_run, queued_at)"
        " select 'payments', 'payment', array[n], case n % 3 when 0 then 'bad_json' when 1 then 'missing_parent'"
        " else 'unknown_enum' end, 'r1', 'r1', clock_timestamp() from generate_series(1, 10000) n"
    )
    parts = conninfo_to_dict(looked.target_dsn)
    counter = WaitCounter(str(parts["host"]), int(parts["port"]))
    try:
        looked.target_dsn = make_conninfo(looked.target_dsn, host="127.0.0.1", port=str(counter.port))
        seen = look(looked)
        sent = list(counter.statements)
        waits = counter.take()
    finally:
        counter.close()
    assert {queue.name: queue.records for queue in seen.queues} == {"jobs": 0, "failed": 10_000, "given up": 0}
    assert sum(need.records for need in seen.needs) == 6_666
    assert (waits.connections, waits.waits) == (1, 2)  # the trip, and its commit
    assert sum(text.count("select") > 0 for message in sent for text in message.split("; ")) <= MOST_STATEMENTS

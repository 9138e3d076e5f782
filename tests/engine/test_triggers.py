"""Triggers of the target: their error is their row's error, and no row stays under a wrong id, key or value untold."""

from __future__ import annotations

import psycopg
import pytest

from hybrid_sync import postgres
from hybrid_sync.contracts import Profile, RunRequest
from hybrid_sync.errors import Contention, MissingPrivilege, SessionTimedOut, StatementTimeout
from hybrid_sync.failpoints import armed
from hybrid_sync.postgres import snapshot, transaction
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.sync_batch import sync_batch
from tests.engine.bulk import Do
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


def trigger(target: Query, body: str, when: str = "before insert or update") -> None:
    target(f"create function f() returns trigger language plpgsql as $$ begin {body} end $$")
    target(f"create trigger t {when} on visits for each row execute function f()")


def refused(target: Query) -> list[tuple[object, ...]]:
    return target(
        "select key[1], reason, constraint_name, column_name from hybrid_sync.failed_record"
        " where entity = 'visits' and status <> 'resolved' and reason <> 'missing_parent' order by key"
    )


@pytest.mark.parametrize("state", ["42501", "42P01", "40001", "57014", "53100", "23514", "22P02"])
def test_a_code_of_the_server_that_a_trigger_chose_costs_the_row(world: EngineWorld, target: Query, state: str) -> None:
    trigger(
        target,
        "if new.note = 'visit 3' then raise exception 'visit 3 is secret' using"
        f" errcode = '{state}', constraint = 'visit 3', column = 'visit 3'; end if; return new;",
    )
    run(world, "first")
    assert refused(target) == [(3, "trigger_exception", None, None)]
    assert target("select count(*) from visits") == [(11,)]


def test_a_right_that_goes_between_planning_and_writing_costs_the_entity_and_no_row(
    world: EngineWorld, target: Query
) -> None:
    planned = plan_run(world, RunRequest(run_id="r", entities=("clinics",)))
    (task,) = planned.entities
    plan_entity(world, task)
    target("revoke insert on clinics from hybrid_sync_worker")
    with pytest.raises(MissingPrivilege, match="clinics"):
        for batch in world.manifests.read("r", "clinics") or []:
            sync_batch(world, batch)
    assert target("select count(*) from hybrid_sync.failed_record") == [(0,)]


def test_a_changed_id_is_told_and_its_row_does_not_stay(world: EngineWorld, target: Query) -> None:
    trigger(target, "if new.note = 'visit 3' then new.id := gen_random_uuid(); end if; return new;", "before insert")
    run(world, "first")
    assert refused(target) == [(3, "trigger_changed_identity", None, None)]
    assert target("select count(*) from visits where legacy_id = 3") == [(0,)]


def test_a_trigger_that_comes_behind_the_plan_is_told_alike(world: EngineWorld, target: Query) -> None:
    body = "if new.note = 'visit 3' then new.id := gen_random_uuid(); end if; return new;"
    with armed({"batch.claimed": Do(lambda: trigger(target, body, "before insert"))}):
        run(world, "first")
    assert refused(target) == [(3, "trigger_changed_identity", None, None)]
    assert target("select count(*) from visits where legacy_id = 3") == [(0,)]


def test_a_changed_key_of_an_updated_row_is_told_and_the_old_version_stays(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    trigger(target, "if new.note = 'moved' then new.legacy_id := 99; end if; return new;", "before update")
    legacy("update visit set note = 'moved' where id = 3; update visit set note = 'fine' where id = 4")
    run(world, "second")
    assert refused(target) == [(3, "trigger_changed_identity", None, None)]
    assert target("select legacy_id, note from visits where legacy_id in (3, 4, 99) order by 1") == [
        (3, "visit 3"), (4, "fine"),
    ]  # fmt: skip


@pytest.mark.parametrize("when", ["before insert", "before update"])
def test_a_value_that_a_trigger_changed_is_told(world: EngineWorld, legacy: Query, target: Query, when: str) -> None:
    if when == "before update":
        run(world, "earlier")
    trigger(target, "if new.note = 'three' then new.note := 'other'; end if; return new;", when)
    legacy("update visit set note = 'three' where id = 3")
    run(world, "first")
    assert refused(target) == [(3, "trigger_changed_value", None, None)]
    assert target("select note from visits where legacy_id = 3") == [("other",)]


def test_a_link_that_a_trigger_refuses_costs_its_row(world: EngineWorld, target: Query) -> None:
    trigger(
        target,
        "if new.best_invoice_id is not null and new.legacy_id = 3 then"
        " raise exception 'secret' using errcode = '42501'; end if; return new;",
        "before update",
    )
    assert run(world, "first").verdicts["invoices"].conserved
    assert (3, "trigger_exception", None, "best_invoice_id") in refused(target)
    assert target("select count(*) from visits where best_invoice_id is null and legacy_id in (1, 2, 3)") == [(1,)]
    waiting = "select key from hybrid_sync.pending_link where entity = 'visits' and column_name = 'best_invoice_id'"
    assert ([3],) in target(waiting)


def test_a_row_that_stays_locked_costs_itself_at_the_third_attempt(
    world: EngineWorld, legacy: Query, target: Query, target_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(world, "first")
    legacy("update visit set note = 'new' where id < 5")
    planned = plan_run(world, RunRequest(run_id="r", profile=Profile.daily, entities=("visits",)))
    plan_entity(world, planned.entities[0])
    monkeypatch.setitem(postgres.TRANSACTION_SETTINGS, "lock_timeout", "100ms")
    postgres.opening.cache_clear()
    (batch,) = [task for task in world.manifests.read("r", "visits") or [] if task.purpose == "changed"]
    with psycopg.connect(target_db) as person:
        person.execute("select from visits where legacy_id = 3 for update")
        for _ in range(2):
            with pytest.raises(Contention):
                sync_batch(world, batch)
        sync_batch(world, batch)
    postgres.opening.cache_clear()
    assert refused(target) == [(3, "contended", None, None)]
    assert target("select legacy_id from visits where note = 'new' order by 1") == [(1,), (2,), (4,)]


def test_only_what_a_retry_may_heal_is_queued(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("update visit set note = 'forbidden' where id = 3; update visit set person_id = 99 where id = 4")
    run(world, "first")
    queued = {(message.reason, key) for message in world.failure_queue.messages for key in message.keys}
    assert ("missing_parent", (4,)) in queued
    assert not any(key == (3,) for reason, key in queued if reason == "check_violation")
    assert (3, "check_violation", "visits_note_check", "note") in refused(target)


def test_an_error_is_told_of_the_side_that_it_came_from(world: EngineWorld) -> None:
    """Whatever the other side's connection says after it: it idled meanwhile, and is gone."""
    with (
        world.connect_legacy() as legacy,
        world.connect_target() as target,
        pytest.raises(MissingPrivilege, match="target role"),
        snapshot(target, "target"),
        snapshot(legacy, "legacy"),
    ):
        legacy.execute("select 1")
        _end(world.legacy_dsn, legacy.info.backend_pid)
        target.execute("select * from pg_catalog.pg_authid")


def test_a_session_that_a_server_ended_is_named(world: EngineWorld) -> None:
    with (
        world.connect_legacy() as legacy,
        world.connect_legacy() as other,
        pytest.raises(SessionTimedOut, match="25P03"),
        transaction(legacy, "legacy"),
    ):
        legacy.execute("set local idle_in_transaction_session_timeout = '10ms'")
        there = "select count(*) from pg_stat_activity where pid = %s"
        while other.execute(there, (legacy.info.backend_pid,)).fetchone() != (0,):
            pass
        legacy.execute("select 1")


def test_a_statement_that_ran_out_of_time_is_not_contention(
    world: EngineWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres.TRANSACTION_SETTINGS, "statement_timeout", "1s")
    with world.connect_target() as target:
        with pytest.raises(StatementTimeout, match="target"), transaction(target, "target"):
            target.execute("set local statement_timeout = '1s'")
            target.execute("select pg_sleep(30)")
        with pytest.raises(Contention, match="cancelled on target"), transaction(target, "target"):
            target.execute("select pg_cancel_backend(pg_backend_pid())")
            target.execute("select pg_sleep(30)")


def _end(dsn: str, pid: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as person:
        person.execute("select pg_terminate_backend(%s, 5000)", (pid,))

"""What planning has seen stands for the verification of an entity that nobody wrote; what was written is looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from hybrid_sync.contracts import DeleteTask, PlannedRun, Profile, Ref, RunRequest
from hybrid_sync.postgres import Connection
from hybrid_sync.session import Session
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.propagate_deletes import propagate_deletes
from hybrid_sync.steps.sync_batch import sync_batch
from hybrid_sync.steps.verify_entity import verify_entity
from tests.engine.small import small_world
from tests.engine.worlds import EngineWorld, run

LEGACY = """
create table client (id int primary key, name text not null);
create table invoice (id int primary key, client_id int, total numeric(10,2) not null);
insert into client select i, 'client ' || i from generate_series(1, 20) i;
insert into invoice select i, i, i / 4.0 from generate_series(1, 20) i;
"""
# No foreign key: whether a reference leads somewhere is for us to say.
TARGET = """
create table clients (id uuid primary key, legacy_id bigint unique, name text not null);
create table invoices (id uuid primary key, legacy_id bigint unique, client_id uuid, total numeric(10,2) not null);
"""
ENTITIES: tuple[dict[str, Any], ...] = (
    {
        "entity": "clients", "target": "clients", "on_delete": {"policy": "hard"},
        "sources": {"client": {"from": "client t", "key": {"legacy_id": "t.id"}, "columns": {"name": "t.name"}}},
    },
    {
        "entity": "invoices", "target": "invoices", "on_delete": {"policy": "hard"},
        "money": [{"column": "total", "constant_currency": "USD"}],
        "sources": {
            "invoice": {
                "from": "invoice t", "key": {"legacy_id": "t.id"}, "columns": {"total": "t.total"},
                "references": {"client_id": {"to": "clients", "key": "t.client_id"}},
            }
        },
    },
)  # fmt: skip

Person = Callable[[str], None]


def _person(dsn: str) -> Person:
    def does(statement: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(statement.encode())

    return does


@pytest.fixture
def world(legacy_db: str, target_db: str) -> EngineWorld:
    world = small_world(legacy_db, target_db, LEGACY, TARGET, *ENTITIES)
    assert run(world, "first").outcome.status == "succeeded"
    return world


@pytest.fixture
def in_target(world: EngineWorld, target_db: str) -> Person:
    return _person(target_db)


@pytest.fixture
def in_legacy(world: EngineWorld, legacy_db: str) -> Person:
    return _person(legacy_db)


def planned(world: EngineWorld) -> PlannedRun:
    """A daily run in which nothing has changed, up to the verification."""
    plan = plan_run(world, RunRequest(run_id="idle", profile=Profile.daily))
    for task in plan.entities:
        assert plan_entity(world, task).batches == 0
    return plan


def verified(world: EngineWorld, plan: PlannedRun, entity: str) -> bool:
    propagate_deletes(world, DeleteTask(run_id=plan.run_id))
    (task,) = [task for task in plan.entities if task.entity == entity]
    return verify_entity(world, task).conserved


def seen(world: EngineWorld) -> dict[str, bool]:
    """Which entities planning has seen to be right."""
    with world.connect_target() as target:
        rows = target.execute("select entity, seen is not null from hybrid_sync.run_entity where run_id = 'idle'")
        return dict(rows.fetchall())


def test_a_run_without_changes_is_verified_by_what_planning_has_seen(world: EngineWorld) -> None:
    plan = planned(world)
    assert seen(world) == {"clients": True, "invoices": True}
    assert verified(world, plan, "clients")
    assert verified(world, plan, "invoices")


def test_what_planning_has_seen_is_verified_without_a_connection_to_legacy(
    world: EngineWorld, in_legacy: Person, in_target: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(world)
    in_target("update invoices set total = total + 1 where legacy_id = 3")  # which only a closer look would see
    asked: list[str] = []
    connect = world.connect_legacy

    def counted() -> Connection:
        asked.append("legacy")
        return connect()

    monkeypatch.setattr(world, "connect_legacy", counted)
    assert verified(world, plan, "clients")
    assert verified(world, plan, "invoices")
    assert asked == []
    run(world, "other", profile=Profile.on_demand, refs=(Ref(entity="invoices", legacy_id=7),))
    asked.clear()
    assert not verified(world, plan, "invoices")
    assert asked == ["legacy"]


def test_it_counts_what_a_closer_look_counts(world: EngineWorld, in_target: Person) -> None:
    in_target("insert into clients (id, name) values (gen_random_uuid(), 'native')")
    plan = planned(world)
    verified(world, plan, "clients")
    verified(world, plan, "invoices")
    run(world, "weekly", profile=Profile.weekly)
    parts = "conservation, money, reference_counts"
    with world.connect_target() as target:
        counted = [
            target.execute(f"select {parts} from hybrid_sync.run_entity where run_id = %s order by entity", (name,))
            for name in ("idle", "weekly")
        ]
        idle, weekly = (rows.fetchall() for rows in counted)
    assert idle == weekly
    assert (idle[0][0]["current"], idle[0][0]["native"]) == (20, 1)


@pytest.mark.parametrize("key", [1, 20], ids=["the oldest row", "the youngest row"])
def test_what_has_changed_is_carried_wherever_it_stands(
    world: EngineWorld, in_legacy: Person, target_db: str, key: int
) -> None:
    """Where one of the youngest rows has changed, no other is looked at before they are counted."""
    in_legacy(f"update client set name = 'changed' where id in ({key}, 10)")
    in_legacy(f"update invoice set total = 77 where id in ({key}, 10)")  # money is read in another way
    assert run(world, "second", profile=Profile.daily).outcome.status == "succeeded"
    with psycopg.connect(target_db) as target:
        carried = target.execute(
            "select legacy_id from clients where name = 'changed' union all select legacy_id from invoices"
            " where total = 77 order by 1"
        ).fetchall()
    assert carried == sorted([(key,), (key,), (10,), (10,)])


def test_a_look_that_is_over_ends_with_the_count_that_follows_it(
    world: EngineWorld, in_legacy: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for legacy to end it; where nothing is asked of legacy any more, it is let go at once."""
    in_legacy("insert into client values (21, 'new'); update invoice set total = 77 where id = 1")
    plan = plan_run(world, RunRequest(run_id="idle", profile=Profile.daily))
    waited: dict[str, list[object]] = {}
    execute = Session.execute

    def noted(session: Session, query: Any, *given: Any, **more: Any) -> Any:
        waited[task.entity].append(query)
        return execute(session, query, *given, **more)

    monkeypatch.setattr(Session, "execute", noted)
    for task in plan.entities:
        waited[task.entity] = []
        assert plan_entity(world, task).batches == 1
    assert {name: "rollback" in sent for name, sent in waited.items()} == {"clients": False, "invoices": True}


@pytest.mark.parametrize(
    ("entity", "edit"),
    [
        ("clients", "delete from clients where legacy_id = 3"),
        ("invoices", "delete from clients where legacy_id = 3"),
        ("invoices", "update invoices set total = total + 1 where legacy_id = 3"),
        ("invoices", "update invoices set total = case legacy_id when 3 then total + 1 else total - 1 end"
                     " where legacy_id in (3, 4); update invoices set client_id = null where legacy_id = 5"),
        ("invoices", "update invoices set client_id = null where legacy_id = 3"),
        ("invoices", "update invoices set client_id = gen_random_uuid() where legacy_id = 3"),
        ("invoices", "update invoices set legacy_id = 99 where legacy_id = 3"),
    ],
)  # fmt: skip
def test_what_was_spoilt_in_the_target_fails_an_idle_run(
    world: EngineWorld, in_target: Person, entity: str, edit: str
) -> None:
    in_target(edit)
    done = run(world, "idle", profile=Profile.daily)
    assert done.outcome.status == "failed"
    assert not done.verdicts[entity].conserved


@pytest.mark.parametrize("written", ["clients", "invoices"])
def test_an_entity_is_looked_at_again_where_it_or_a_parent_was_written_since(
    world: EngineWorld, in_legacy: Person, in_target: Person, written: str
) -> None:
    plan = planned(world)
    in_legacy("update client set name = 'new' where id = 7; update invoice set client_id = 8 where id = 7")
    run(world, "other", profile=Profile.on_demand, refs=(Ref(entity=written, legacy_id=7),))
    in_target("update invoices set total = total + 1 where legacy_id = 3")
    assert not verified(world, plan, "invoices")


def test_an_entity_is_looked_at_again_where_its_failed_records_changed(world: EngineWorld, in_target: Person) -> None:
    plan = planned(world)
    in_target(
        "insert into hybrid_sync.failed_record (entity, source, key, reason, first_run, last_run)"
        " values ('invoices', 'invoice', '{3}', 'check_violation', 'other', 'other')"
    )
    verified(world, plan, "invoices")
    with world.connect_target() as target:
        (told,) = target.execute(
            "select conservation->>'current', conservation->>'stale' from hybrid_sync.run_entity"
            " where run_id = 'idle' and entity = 'invoices'"
        ).fetchall()
    assert told == ("19", "1")


def test_what_waits_to_be_proved_is_not_proved_by_planning(world: EngineWorld, in_legacy: Person) -> None:
    """A run that wrote and was never verified: its references are compared before the fence moves."""
    in_legacy("update invoice set client_id = 8 where id = 7")
    refs = (Ref(entity="invoices", legacy_id=7),)
    other = plan_run(world, RunRequest(run_id="other", profile=Profile.on_demand, refs=refs))
    for task in other.entities:
        plan_entity(world, task)
    for batch in world.manifests.read("other", "invoices") or []:
        assert sync_batch(world, batch).updated == 1
    assert run(world, "second", profile=Profile.daily).outcome.status == "succeeded"
    planned(world)
    assert seen(world) == {"clients": True, "invoices": False}


@pytest.mark.parametrize("request_", [{"profile": Profile.daily}, {"profile": Profile.verify, "repair": True}])
def test_a_failed_record_without_a_row_on_either_side_is_closed_by_a_run_that_carries_others(
    world: EngineWorld, in_legacy: Person, in_target: Person, request_: dict[str, Any]
) -> None:
    """The keys of both sides are the same, and the quarantine has one that neither knows."""
    in_target(
        "insert into hybrid_sync.failed_record (entity, source, key, reason, first_run, last_run)"
        " values ('invoices', 'invoice', '{99}', 'check_violation', 'other', 'other')"
    )
    in_legacy("update invoice set total = 100 where id = 1")
    assert run(world, "next", **request_).outcome.status == "succeeded"
    with world.connect_target() as target:
        assert target.execute("select status from hybrid_sync.failed_record").fetchall() == [("resolved",)]

"""An entity, or a source, that the catalog calls otherwise: what is kept of its rows goes with them."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import FailureMessage, RollbackOutcome, RollbackTask
from hybrid_sync.errors import RequestRejected
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.messages.undoing import RollbackAsked
from hybrid_sync.services.rollback import preview
from hybrid_sync.services.views.undoing import undoing
from hybrid_sync.steps.retry_failure import retry_failure
from hybrid_sync.steps.rollback_run import rollback_run
from tests.engine.conftest import Query, _runner
from tests.engine.small import entity, small_world
from tests.engine.worlds import EngineWorld, run

LEGACY = """
create table things (id int primary key, n int);
create table firms (id int primary key, n int);
insert into things select i, i from generate_series(1, 5) i;
insert into firms select i, -i from generate_series(1, 5) i;
"""
TARGET = """
create table things (id uuid primary key, legacy_id int unique, n int check (n < 100), deleted_at timestamptz);
create table firms (id uuid primary key, legacy_id int unique, n int check (n < 100), deleted_at timestamptz);
grant all on firms to public;
"""
SOFT = {"policy": "soft", "set": {"deleted_at": "now()"}}
HARD = {"policy": "hard"}
NAMES = [("things", "rows"), ("items", "things"), ("items", "rows")]
AS_BEFORE = ("things", "things")
ROWS = "select legacy_id, n, deleted_at is null from things order by 1"


def _entity(name: str, source: str, policy: dict[str, Any] = HARD, table: str = "things") -> dict[str, Any]:
    found = entity(table, columns={"n": "a.n"}, on_delete=policy)
    [only] = found["sources"].values()
    return {**found, "entity": name, "sources": {source: only}}


def _with(world: EngineWorld, *entities: dict[str, Any]) -> EngineWorld:
    """The same world after somebody has brought the catalog up to date."""
    changed = copy.copy(world)
    changed.catalog = Catalog({one["entity"]: Entity.model_validate(one) for one in entities})
    return changed


def _started(legacy_db: str, target_db: str, policy: dict[str, Any] = HARD) -> tuple[EngineWorld, Query, Query]:
    world = small_world(legacy_db, target_db, LEGACY, TARGET, _entity(*AS_BEFORE, policy))
    run(world, "first")
    return world, _runner(legacy_db), _runner(target_db)


@pytest.mark.parametrize("names", NAMES)
def test_a_key_that_returns_gets_the_id_that_it_had(legacy_db: str, target_db: str, names: tuple[str, str]) -> None:
    world, legacy, target = _started(legacy_db, target_db)
    [(before,)] = target("select id from things where legacy_id = 3")
    legacy("delete from things where id = 3")
    run(world, "second", profile="weekly")
    legacy("insert into things values (3, 33)")
    assert run(_with(world, _entity(*names)), "third").outcome.status == "succeeded"
    assert target("select id, n from things where legacy_id = 3") == [(before, 33)]


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("by_key", [False, True])
def test_a_row_that_returns_is_marked_as_deleted_no_more(
    legacy_db: str, target_db: str, names: tuple[str, str], by_key: bool
) -> None:
    """By its key first, too: a run of a few keys is not what finds out about names."""
    world, legacy, target = _started(legacy_db, target_db, SOFT)
    legacy("delete from things where id = 3")
    run(world, "second", profile="weekly")
    assert target("select deleted_at is null from things where legacy_id = 3") == [(False,)]
    legacy("insert into things values (3, 33)")
    asked = {"profile": "on_demand", "refs": [{"entity": names[0], "legacy_id": 3}]} if by_key else {}
    assert run(_with(world, _entity(*names, SOFT)), "third", **asked).outcome.status == "succeeded"
    assert target("select n, deleted_at is null from things where legacy_id = 3") == [(33, True)]


@pytest.mark.parametrize("names", NAMES[1:])
def test_what_is_held_stays_held(legacy_db: str, target_db: str, names: tuple[str, str]) -> None:
    world, legacy, target = _started(legacy_db, target_db)
    target("update hybrid_sync.entity_state set held = true, held_by = 'ann', held_why = 'a dispute'")
    legacy("update things set n = n + 10")
    assert run(_with(world, _entity(*names)), "second").outcome.status == "failed"
    assert target(ROWS) == [(i, i, True) for i in range(1, 6)]
    held = "select entity, held_by, held_why from hybrid_sync.entity_state where held"
    assert target(held) == [("items", "ann", "a dispute")]
    target("update hybrid_sync.entity_state set held = false")
    assert run(_with(world, _entity(*names)), "third").outcome.status == "succeeded"
    assert target(ROWS) == [(i, i + 10, True) for i in range(1, 6)]


def test_what_was_split_in_two_is_held_in_both(legacy_db: str, target_db: str) -> None:
    world, _, target = _started(legacy_db, target_db)
    target("update hybrid_sync.entity_state set held = true, held_by = 'ann'")
    small, large = (_entity(name, "things", table=table) for name, table in (("small", "things"), ("large", "firms")))
    for one, when in ((small, "a.n >= 3"), (large, "a.n < 3")):
        one["sources"]["things"].update({"from": "things a", "rules": [{"exclude": "of_the_other", "when": when}]})
    assert run(_with(world, small, large), "second").outcome.status == "failed"
    assert target("select entity from hybrid_sync.entity_state where held order by 1") == [("large",), ("small",)]


@pytest.mark.parametrize("names", NAMES)
def test_a_failed_record_is_the_new_names_and_ends_there(
    legacy_db: str, target_db: str, names: tuple[str, str]
) -> None:
    world, legacy, target = _started(legacy_db, target_db)
    legacy("update things set n = 1000 where id = 5")
    run(world, "second")
    renamed = _with(world, _entity(*names))
    message = FailureMessage(
        run_id="second", entity="things", source="things", reason="check_violation", keys=((5,),)
    )  # fmt: skip
    assert retry_failure(renamed, message).failed == 0, "its names lead to no record any more"
    assert run(renamed, "third").outcome.status == "degraded"
    records = "select entity, source, key, status, first_run from hybrid_sync.failed_record"
    assert target(records) == [(*names, [5], "open", "second")]
    legacy("update things set n = 5 where id = 5")
    assert run(renamed, "fourth").outcome.status == "succeeded"
    assert target(records) == [(*names, [5], "resolved", "second")]


def test_failed_records_of_what_left_the_catalog_end(legacy_db: str, target_db: str) -> None:
    """And fail again where it comes back: it is read as a whole then."""
    world, legacy, target = _started(legacy_db, target_db)
    legacy("update things set n = 1000 where id = 5")
    run(world, "second")
    others = _with(world, _entity("firms", "firms", table="firms"))
    assert run(others, "third").outcome.status == "succeeded"
    records = "select key, status, ended_by from hybrid_sync.failed_record"
    assert target(records) == [([5], "resolved", "left the catalog")]
    assert run(world, "fourth", profile="daily").outcome.status == "degraded"
    assert target(records) == [([5], "open", None)]


@pytest.mark.parametrize("at_once", [False, True])
def test_a_key_in_other_words_under_another_name_is_told_and_one_after_the_other_is_followed(
    legacy_db: str, target_db: str, at_once: bool
) -> None:
    world, legacy, target = _started(legacy_db, target_db, SOFT)
    legacy("delete from things where id = 3")
    run(world, "second", profile="weekly")
    reworded = _entity("items", "rows", SOFT)
    reworded["sources"]["rows"]["key"] = {"legacy_id": "a.id + 0"}
    if not at_once:
        run(_with(world, _entity("items", "rows", SOFT)), "renamed")
    run(_with(world, reworded), "reworded")
    run(_with(world, reworded), "again")
    legacy("insert into things values (3, 33)")
    assert run(_with(world, reworded), "returned").outcome.status == "succeeded"
    told = target("select run_id, warnings->>0 from hybrid_sync.run_entity where warnings is not null")
    if at_once:
        [(run_id, said)] = told
        assert (run_id, "reads and writes the tables of things (things)" in said) == ("reworded", True)
    else:
        assert told == []
        assert target("select n, deleted_at is null from things where legacy_id = 3") == [(33, True)]


def test_two_that_exchange_their_names(legacy_db: str, target_db: str) -> None:
    """Keys are each other's, and so would ids and marks be."""
    entities = [_entity("things", "rows", SOFT), _entity("firms", "rows", SOFT, "firms")]
    world = small_world(legacy_db, target_db, LEGACY, TARGET, *entities)
    legacy, target = _runner(legacy_db), _runner(target_db)
    run(world, "first")
    legacy("delete from things where id in (2, 3); delete from firms where id in (3, 4)")
    run(world, "second", profile="weekly", allow_deletes=["things", "firms"])
    ids = "select array_agg(id order by legacy_id), (select array_agg(id order by legacy_id) from firms) from things"
    before = target(ids)
    exchanged = _with(world, _entity("firms", "rows", SOFT), _entity("things", "rows", SOFT, "firms"))
    legacy("insert into things values (2, 22); insert into firms values (4, -44)")
    assert run(exchanged, "third", profile="weekly").outcome.status == "succeeded"
    assert target(ids) == before
    assert target(ROWS) == [(1, 1, True), (2, 22, True), (3, 3, False), (4, 4, True), (5, 5, True)]
    assert target(ROWS.replace("things", "firms")) == [
        (1, -1, True), (2, -2, True), (3, -3, False), (4, -44, True), (5, -5, True)
    ]  # fmt: skip


@pytest.mark.parametrize("names", NAMES)
def test_an_undo_under_the_names_of_then_and_a_run_under_those_of_now(
    legacy_db: str, target_db: str, names: tuple[str, str]
) -> None:
    world, legacy, target = _started(legacy_db, target_db, SOFT)
    legacy("delete from things where id = 3; update things set n = 55 where id = 5")
    run(world, "second", profile="weekly")
    renamed = _with(world, _entity(*names, SOFT))
    assert run(renamed, "third").outcome.status == "succeeded"
    rollback_run(world, RollbackTask(run_id="second"))
    assert target(ROWS) == [(i, i, True) for i in range(1, 6)]
    assert run(renamed, "held").outcome.status == "failed", "the undo holds it, whatever it is called"
    target("update hybrid_sync.entity_state set held = false")
    assert run(renamed, "fourth", profile="weekly").outcome.status == "succeeded"
    assert target(ROWS) == [(1, 1, True), (2, 2, True), (3, 3, False), (4, 4, True), (5, 55, True)]


def _undo(world: EngineWorld, run_id: str, *, out_of_order: bool = False) -> RollbackOutcome:
    outcome = rollback_run(world, RollbackTask(run_id=run_id, out_of_order=out_of_order))
    while outcome.more:
        outcome = rollback_run(world, RollbackTask(run_id=run_id, rollback_id=outcome.rollback_id))
    return outcome


def _all_kinds(world: EngineWorld, legacy: Query) -> None:
    """A run that inserts, changes and deletes."""
    legacy("delete from things where id = 3; update things set n = 55 where id = 5; insert into things values (6, 6)")
    run(world, "second", profile="weekly")


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("policy", [SOFT, HARD], ids=["soft", "hard"])
@pytest.mark.parametrize("between", [False, True])
def test_an_undo_finds_what_a_run_wrote_under_other_names(
    legacy_db: str, target_db: str, names: tuple[str, str], policy: dict[str, Any], between: bool
) -> None:
    world, legacy, target = _started(legacy_db, target_db, policy)
    before = target("select id, legacy_id, n, deleted_at from things order by legacy_id")
    _all_kinds(world, legacy)
    renamed = _with(world, _entity(*names, policy))
    if between:
        assert run(renamed, "third").outcome.status == "succeeded"
    looked = preview(cast(Desk, renamed), RollbackAsked(run_id="second"))
    assert (looked.possible, looked.lost, [one.entity for one in looked.entities]) == (True, (), [names[0]])
    seen = [
        (one.entity, one.back, one.deleted, one.conflicts) for one in undoing(cast(Desk, renamed), "second").entities
    ]
    assert seen == [(names[0], 2, 1, 0)]
    outcome = _undo(renamed, "second")
    assert (outcome.failed, outcome.held, outcome.undone.conflicts) == ((), (names[0],), {})
    assert target("select id, legacy_id, n, deleted_at from things order by legacy_id") == before
    assert run(renamed, "held").outcome.status == "failed"
    target("update hybrid_sync.entity_state set held = false")
    assert run(renamed, "fourth", profile="weekly").outcome.status == "succeeded"
    assert target("select legacy_id, n from things where deleted_at is null order by 1") == legacy(
        "select id, n from things order by 1"
    )


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("once_more", [False, True])
def test_what_a_run_under_other_names_wrote_over_stays(
    legacy_db: str, target_db: str, names: tuple[str, str], once_more: bool
) -> None:
    """Under those of now, or such as the catalog has no more."""
    world, legacy, target = _started(legacy_db, target_db)
    _all_kinds(world, legacy)
    renamed = _with(world, _entity(*names))
    legacy("update things set n = 56 where id = 5")
    run(renamed, "third", profile="daily")
    if once_more:
        names = ("goods", "goods")
        renamed = _with(world, _entity(*names))
    refused = preview(cast(Desk, renamed), RollbackAsked(run_id="second"))
    assert "Run third has written to the same entities" in refused.why
    with pytest.raises(RequestRejected, match="Run third has written to the same entities"):
        _undo(renamed, "second")
    outcome = _undo(renamed, "second", out_of_order=True)
    assert outcome.undone.conflicts == {"superseded": 1}
    conflicts = target("select entity, source, key, reason, by_run from hybrid_sync.rollback_conflict")
    assert conflicts == [(*names, [5], "superseded", "third")]
    assert target("select legacy_id, n from things where legacy_id in (3, 5, 6) order by 1") == [(3, 3), (5, 56)]


def test_an_undo_after_two_have_exchanged_their_names(legacy_db: str, target_db: str) -> None:
    """The name leads to other rows by now, and those stay; a run of the other one is no later run of these."""
    entities = [_entity("things", "rows"), _entity("firms", "rows", table="firms")]
    world = small_world(legacy_db, target_db, LEGACY, TARGET, *entities)
    legacy, target = _runner(legacy_db), _runner(target_db)
    run(world, "first")
    before = target("select id, legacy_id, n from things order by legacy_id")
    _all_kinds(world, legacy)
    exchanged = _with(world, _entity("firms", "rows"), _entity("things", "rows", table="firms"))
    legacy("update firms set n = n - 10")
    run(exchanged, "third", profile="daily", entities=("things",))
    outcome = _undo(exchanged, "second")
    assert (outcome.failed, outcome.held, outcome.undone.conflicts) == ((), ("firms",), {})
    assert target("select id, legacy_id, n from things order by legacy_id") == before
    assert target("select min(n), max(n) from firms") == [(-15, -11)]


def test_an_undo_of_what_was_split_in_two_names_it(legacy_db: str, target_db: str) -> None:
    """Which of the two a row belongs to, its key does not say."""
    world, legacy, target = _started(legacy_db, target_db)
    _all_kinds(world, legacy)
    small, large = (_entity(name, "rows", table="things") for name in ("small", "large"))
    for one, when in ((small, "a.n >= 3"), (large, "a.n < 3")):
        one["sources"]["rows"].update({"from": "things a", "rules": [{"exclude": "of_the_other", "when": when}]})
    split = _with(world, small, large)
    assert preview(cast(Desk, split), RollbackAsked(run_id="second")).lost == ("things",)
    outcome = _undo(split, "second")
    assert outcome.failed == ("things",)
    [failure] = world.reports.documents[outcome.rollback_id]["failures"]
    assert "the catalog has no entity things any more" in failure["cause"]
    assert target("select n from things where legacy_id = 5") == [(55,)]


def test_names_are_told_once_and_stay(legacy_db: str, target_db: str) -> None:
    world, _, target = _started(legacy_db, target_db)
    seen = "select entity, source, reads, left_at is null from hybrid_sync.place"
    assert target(seen) == [("things", "things", '"public"."things" ((id))', True)]
    run(world, "second")
    assert target("select version from hybrid_sync.fence") == [(2,)], "each run has moved it"


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("names", [("persons", "people", "notes", "notes"), ("persons", "rows", "remarks", "rows")])
def test_what_waits_for_a_parent_waits_for_it_under_its_new_name(
    legacy_db: str, target_db: str, names: tuple[str, str, str, str], early: bool
) -> None:
    """A failed record, and a reference to be linked; the parent comes before the first run under the new names, or
    after it."""
    legacy_sql = """
        create table people (id int primary key, chief int); create table notes (id int primary key, person int);
        insert into people values (1, null), (2, 9); insert into notes values (1, 1), (2, 9);
    """
    target_sql = """
        create table people (id uuid primary key, legacy_id int unique, chief_id uuid references people);
        create table notes (id uuid primary key, legacy_id int unique, person_id uuid references people);
    """

    def catalog(people: str, of_people: str, notes: str, of_notes: str) -> list[dict[str, Any]]:
        chief = {"chief_id": {"key": "a.chief", "to": people, "deferred": True}}
        person = {"person_id": {"key": "a.person", "to": people}}
        return [
            {**entity(table, references=more), "entity": name, "sources": {source: only}}
            for table, name, source, more in (("people", people, of_people, chief), ("notes", notes, of_notes, person))
            for only in entity(table, references=more)["sources"].values()
        ]

    world = small_world(
        legacy_db, target_db, legacy_sql, target_sql, *catalog("people", "people", "notes", "notes")
    )  # fmt: skip
    legacy, target = _runner(legacy_db), _runner(target_db)
    assert run(world, "first").outcome.status == "degraded"
    renamed = _with(world, *catalog(*names))
    if early:
        legacy("insert into people values (9, null)")
    assert run(renamed, "second", profile="daily").outcome.status == ("succeeded" if early else "degraded")
    if not early:
        legacy("insert into people values (9, null)")
    assert run(renamed, "third", profile="daily").outcome.status == "succeeded"
    assert target("select count(chief_id), (select count(person_id) from notes) from people") == [(1, 2)]
    assert target("select count(*) from hybrid_sync.pending_link") == [(0,)]
    assert target("select count(*) from hybrid_sync.failed_record where status = 'open'") == [(0,)]

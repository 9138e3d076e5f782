"""Rows that are marked as deleted, or let go of a reference, come back by their columns, whatever those are called."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import RollbackTask
from hybrid_sync.steps.rollback_run import rollback_run
from tests.engine.conftest import Query, _runner
from tests.engine.small import entity, small_world
from tests.engine.test_deletes_undone import release_all
from tests.engine.test_deletes_undone import undo as undone
from tests.engine.worlds import EngineWorld, run

LEGACY = """
create table things (id int primary key, n int);
insert into things select i, i from generate_series(1, 5) i;
"""
TARGET = "create table things (id uuid primary key, legacy_id int unique, n int, gone text, why text);"
SOFT = {"gone": "'yes'", "why": "'legacy'"}
EXCHANGE = (
    "alter table things rename gone to x; alter table things rename why to gone; alter table things rename x to why"
)


def _things(sets: dict[str, str]) -> dict[str, object]:
    return entity("things", columns={"n": "a.n"}, on_delete={"policy": "soft", "set": sets})


def _with(world: EngineWorld, sets: dict[str, str]) -> EngineWorld:
    """The same world after somebody has brought the catalog up to date."""
    renamed = copy.copy(world)
    renamed.catalog = Catalog({"things": Entity.model_validate(_things(sets))})
    return renamed


@pytest.fixture(name="marked")
def thing_three_is_marked(legacy_db: str, target_db: str) -> EngineWorld:
    """What people have written into the columns is in the mark, and so comes back."""
    world = small_world(legacy_db, target_db, LEGACY, TARGET, _things(SOFT))
    run(world, "first")
    _runner(target_db)("update things set gone = 'no', why = 'unasked'")
    _runner(legacy_db)("delete from things where id = 3")
    run(world, "second", profile="weekly")
    assert _runner(target_db)("select gone, why from things where legacy_id = 3") == [("yes", "legacy")]
    return world


def _return(world: EngineWorld, legacy_db: str, run_id: str = "third") -> None:
    _runner(legacy_db)("insert into things values (3, 30) on conflict (id) do update set n = 30")
    run(world, run_id)


def _open(target: Query) -> list[tuple[object, ...]]:
    return target("select key, ended_run from hybrid_sync.tombstone where ended_run is null")


def test_a_column_that_has_another_name(marked: EngineWorld, legacy_db: str, target_db: str) -> None:
    target = _runner(target_db)
    target("alter table things rename gone to removed")
    _return(_with(marked, {"removed": "'yes'", "why": "'legacy'"}), legacy_db)
    assert target("select n, removed, why from things where legacy_id = 3") == [(30, "no", "unasked")]
    assert _open(target) == []


def test_columns_that_exchanged_their_names(marked: EngineWorld, legacy_db: str, target_db: str) -> None:
    target = _runner(target_db)
    target(EXCHANGE)
    _return(_with(marked, {"gone": "'legacy'", "why": "'yes'"}), legacy_db)
    assert target("select n, why, gone from things where legacy_id = 3") == [(30, "no", "unasked")]


def test_marks_of_before_and_after(marked: EngineWorld, legacy_db: str, target_db: str) -> None:
    """Each mark by the names of its own run; both come back in one batch."""
    target = _runner(target_db)
    target(EXCHANGE)
    renamed = _with(marked, {"gone": "'legacy'", "why": "'yes'"})
    _runner(legacy_db)("delete from things where id = 4")
    run(renamed, "later", profile="weekly")
    _runner(legacy_db)("insert into things values (4, 40)")
    _return(renamed, legacy_db)
    assert target("select n, why, gone from things where legacy_id in (3, 4) order by 1") == [
        (30, "no", "unasked"), (40, "no", "unasked")
    ]  # fmt: skip


def test_what_a_person_has_written_since_stays(marked: EngineWorld, legacy_db: str, target_db: str) -> None:
    target = _runner(target_db)
    target(EXCHANGE)
    target("update things set gone = 'mine' where legacy_id = 3")
    _return(_with(marked, {"gone": "'legacy'", "why": "'yes'"}), legacy_db)
    assert target("select why, gone from things where legacy_id = 3") == [("no", "mine")]


def test_a_new_column_of_a_dropped_ones_name_keeps_what_is_in_it(
    marked: EngineWorld, legacy_db: str, target_db: str
) -> None:
    target = _runner(target_db)
    target("alter table things drop gone; alter table things add gone text default 'yes'")
    _return(_with(marked, SOFT), legacy_db)
    assert target("select gone, why from things where legacy_id = 3") == [("yes", "unasked")]


def test_a_mark_without_numbers_whose_column_is_not_there_stays_and_says_so(
    marked: EngineWorld, legacy_db: str, target_db: str
) -> None:
    """As of a run of before they were recorded: whether it was renamed or dropped, nobody knows."""
    target = _runner(target_db)
    target("update hybrid_sync.run_entity set columns = null; alter table things rename gone to removed")
    _return(_with(marked, {"removed": "'yes'", "why": "'legacy'"}), legacy_db)
    failed = "select key, reason, column_name from hybrid_sync.failed_record where status <> 'resolved'"
    assert target(failed) == [([3], "unknown_mark", "gone")]
    assert target("select removed, why from things where legacy_id = 3") == [("yes", "legacy")]
    assert _open(target) == [([3], None)]
    target("alter table things rename removed to gone")
    _return(_with(marked, SOFT), legacy_db, "fourth")
    assert target("select gone, why from things where legacy_id = 3") == [("no", "unasked")]
    assert (target(failed), _open(target)) == ([], [])


def test_a_mark_without_numbers_whose_columns_are_all_there_comes_back(
    marked: EngineWorld, legacy_db: str, target_db: str
) -> None:
    target = _runner(target_db)
    target("update hybrid_sync.run_entity set columns = null")
    _return(marked, legacy_db)
    assert target("select gone, why from things where legacy_id = 3") == [("no", "unasked")]


def test_a_return_that_was_undone_comes_back_again(marked: EngineWorld, legacy_db: str, target_db: str) -> None:
    target = _runner(target_db)
    _return(marked, legacy_db)
    target(EXCHANGE)
    renamed = _with(marked, {"gone": "'legacy'", "why": "'yes'"})
    assert undone(renamed, "third") == {}
    assert target("select why, gone from things where legacy_id = 3") == [("yes", "legacy")]
    release_all(renamed)
    _return(renamed, legacy_db, "fourth")
    assert target("select why, gone from things where legacy_id = 3") == [("no", "unasked")]


def test_a_mark_that_is_undone(marked: EngineWorld, target_db: str) -> None:
    target = _runner(target_db)
    target(EXCHANGE)
    assert undone(_with(marked, {"gone": "'legacy'", "why": "'yes'"}), "second") == {}
    assert target("select why, gone from things where legacy_id = 3") == [("no", "unasked")]
    assert _open(target) == []


def test_an_undo_without_numbers_of_a_column_that_is_not_there_is_refused(marked: EngineWorld, target_db: str) -> None:
    target = _runner(target_db)
    target("update hybrid_sync.run_entity set columns = null; alter table things rename gone to removed")
    outcome = rollback_run(_with(marked, {"removed": "'yes'", "why": "'legacy'"}), RollbackTask(run_id="second"))
    assert outcome.failed == ("things",)
    assert target("select removed, why from things where legacy_id = 3") == [("yes", "legacy")]
    assert _open(target) == [([3], None)]


TEAMS = """
create table teams (id int primary key, lead int, vice int);
create table members (id int primary key, team int);
insert into members select i, (i + 1) / 2 from generate_series(1, 20) i;
insert into teams select i, i * 2 - 1, i * 2 from generate_series(1, 10) i;
"""
TEAMS_TARGET = """
create table teams (id uuid primary key, legacy_id int unique, lead_id uuid, vice_id uuid);
create table members (id uuid primary key, legacy_id int unique, team_id uuid references teams);
alter table teams add foreign key (lead_id) references members, add foreign key (vice_id) references members;
"""
SWAP = "alter table teams rename lead_id to x; alter table teams rename vice_id to lead_id; " + (
    "alter table teams rename x to vice_id"
)
HARD = {"policy": "hard"}


def _teams(lead: str, vice: str) -> list[dict[str, Any]]:
    references = {
        column: {"key": f"a.{key}", "to": "members", "deferred": True}
        for column, key in ((lead, "lead"), (vice, "vice"))
    }
    return [
        entity("teams", references=references, on_delete=HARD),
        entity("members", references={"team_id": {"key": "a.team", "to": "teams"}}, on_delete=HARD),
    ]


def _told(target: Query, lead: str, vice: str) -> list[tuple[Any, ...]]:
    return target(
        f"select t.legacy_id, l.legacy_id, v.legacy_id from teams t left join members l on l.id = t.{lead}"
        f" left join members v on v.id = t.{vice} order by 1"
    )


@pytest.mark.parametrize(
    ("statement", "lead", "vice"),
    [("alter table teams rename lead_id to head_id", "head_id", "vice_id"), (SWAP, "vice_id", "lead_id")],
)
def test_a_reference_that_gave_way_to_a_delete(
    legacy_db: str, target_db: str, statement: str, lead: str, vice: str
) -> None:
    world = small_world(legacy_db, target_db, TEAMS, TEAMS_TARGET, *_teams("lead_id", "vice_id"))
    target = _runner(target_db)
    run(world, "first")
    before = _told(target, "lead_id", "vice_id")
    assert before[2] == (3, 5, 6)
    _runner(legacy_db)("delete from teams where id = 3; delete from members where team = 3")
    run(world, "second", profile="weekly", allow_deletes=["teams", "members"])
    assert len(_told(target, "lead_id", "vice_id")) == 9
    target(statement)
    renamed = copy.copy(world)
    renamed.catalog = Catalog({str(e["entity"]): Entity.model_validate(e) for e in _teams(lead, vice)})
    assert undone(renamed, "second") == {}
    assert _told(target, lead, vice) == before


@pytest.mark.parametrize(
    ("statement", "lead", "vice"),
    [("alter table teams rename lead_id to head_id", "head_id", "vice_id"), (SWAP, "vice_id", "lead_id")],
)
def test_a_reference_that_waits_for_its_parent(
    legacy_db: str, target_db: str, statement: str, lead: str, vice: str
) -> None:
    world = small_world(legacy_db, target_db, TEAMS, TEAMS_TARGET, *_teams("lead_id", "vice_id"))
    legacy, target = _runner(legacy_db), _runner(target_db)
    legacy("delete from members where id = 5")
    run(world, "first")
    assert _told(target, "lead_id", "vice_id")[2] == (3, None, 6)
    target(statement)
    renamed = copy.copy(world)
    renamed.catalog = Catalog({str(e["entity"]): Entity.model_validate(e) for e in _teams(lead, vice)})
    legacy("insert into members values (5, 3)")
    run(renamed, "second")
    assert _told(target, lead, vice)[2] == (3, 5, 6)
    assert target("select count(*) from hybrid_sync.pending_link") == [(0,)]

"""The delete guard in runs: by source, over a week, whatever the profile, and with a person's word."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import Ref, RollbackTask
from hybrid_sync.schema.install import install
from hybrid_sync.steps.rollback_run import rollback_run
from tests.conftest import PASSWORD
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


def catalog(**on_delete: Any) -> Catalog:
    notes = Entity.model_validate(
        {
            "entity": "notes", "target": "notes", "on_delete": {"policy": "hard"} | on_delete,
            "sources": {
                "note": {"from": "note n", "key": {"legacy_id": "n.id"}, "columns": {"body": "n.body"}}
            },
        }
    )  # fmt: skip
    return Catalog({"notes": notes})


SOFT = {"policy": "soft", "set": {"deleted_at": "now()"}}


@pytest.fixture
def world(legacy_db: str, target_db: str) -> EngineWorld:
    with psycopg.connect(legacy_db, autocommit=True) as legacy:
        legacy.execute("create table note (id int primary key, body text)")
        legacy.execute("insert into note select i, 'note ' || i from generate_series(1, 100) i")
    with psycopg.connect(target_db, autocommit=True) as target:
        target.execute(
            "create table notes (id uuid primary key, legacy_id bigint unique, body text, deleted_at timestamptz)"
        )
    world = EngineWorld(catalog(), legacy_db, install(target_db, PASSWORD, catalog()))
    run(world, "first", profile="daily")
    return world


def live(target: Query) -> int:
    return int(target("select count(*) from notes where deleted_at is null")[0][0])


@pytest.mark.parametrize("profile", ["daily", "weekly"])
@pytest.mark.parametrize("policy", [{}, SOFT])
def test_ten_of_a_hundred_go_and_eleven_do_not(
    world: EngineWorld, legacy: Query, target: Query, profile: str, policy: dict[str, Any]
) -> None:
    world.catalog = catalog(**policy)
    legacy("delete from note where id <= 11")
    done = run(world, "second", profile=profile)
    assert (done.outcome.status, live(target)) == ("failed", 100)
    legacy("insert into note values (11, 'back')")
    assert run(world, "third", profile=profile).outcome.status == "succeeded"
    assert live(target) == 90


@pytest.mark.parametrize("policy", [{}, SOFT])
def test_the_deletes_of_a_week_add_up(world: EngineWorld, legacy: Query, target: Query, policy: dict[str, Any]) -> None:
    world.catalog = catalog(**policy)
    for first in (1, 5):
        legacy("delete from note where id between %s and %s", first, first + 3)
        assert run(world, f"run-{first}", profile="daily").outcome.status == "succeeded"
    legacy("delete from note where id between 9 and 12")
    assert run(world, "third", profile="daily").outcome.status == "failed"
    assert live(target) == 92
    target("update hybrid_sync.delete_candidate set done_at = done_at - interval '7 days' where run_id = 'run-1'")
    assert run(world, "fourth", profile="daily").outcome.status == "succeeded"
    assert live(target) == 88


def test_what_a_person_allowed_does_not_count_afterwards(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("delete from note where id <= 40")
    run(world, "second", profile="daily")
    assert live(target) == 100
    assert run(world, "third", profile="daily", allow_deletes=("notes",)).outcome.status == "succeeded"
    legacy("delete from note where id between 41 and 45")
    assert run(world, "fourth", profile="daily").outcome.status == "succeeded"
    assert live(target) == 55


def test_what_was_rolled_back_does_not_count_afterwards(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("delete from note where id <= 8")
    run(world, "second", profile="daily")
    assert not rollback_run(world, RollbackTask(run_id="second")).more
    target("update hybrid_sync.entity_state set held = false, held_by = null, held_why = null")
    legacy(
        "insert into note select i, 'back' from generate_series(1, 8) i; delete from note where id between 11 and 18"
    )
    assert run(world, "third", profile="daily").outcome.status == "succeeded"
    assert live(target) == 92


def test_rows_that_come_and_go_count_once(world: EngineWorld, legacy: Query, target: Query) -> None:
    world.catalog = catalog(**SOFT)
    for n in range(3):
        legacy("delete from note where id <= 6")
        assert run(world, f"gone-{n}", profile="daily").outcome.status == "succeeded"
        legacy("insert into note select i, 'back' from generate_series(1, 6) i")
        assert run(world, f"back-{n}", profile="daily").outcome.status == "succeeded"
    assert live(target) == 100


def test_named_rows_are_guarded_like_all(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("delete from note where id <= 11")
    refs = tuple(Ref(entity="notes", legacy_id=i) for i in range(1, 12))
    run(world, "asked", profile="on_demand", refs=refs)
    assert live(target) == 100
    run(world, "fewer", profile="on_demand", refs=refs[:10])
    assert live(target) == 90
    run(world, "one more", profile="on_demand", refs=refs[10:])
    assert live(target) == 90


def test_rows_that_others_keep_are_asked_for_once(world: EngineWorld, legacy: Query, target: Query) -> None:
    target("create table stars (id int, note_id uuid references notes)")
    target("insert into stars select legacy_id, id from notes where legacy_id <= 8")
    legacy("delete from note where id <= 8")
    assert run(world, "second", profile="daily").outcome.status == "succeeded"
    legacy("delete from note where id between 9 and 14")
    assert run(world, "third", profile="daily").outcome.status == "succeeded"
    assert live(target) == 94


def test_an_empty_database_deletes_nothing_in_any_profile(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("truncate note")
    for profile in ("daily", "weekly"):
        assert run(world, f"empty-{profile}", profile=profile).outcome.status == "failed"
    assert live(target) == 100


def test_the_last_row_of_a_table_needs_a_persons_word(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("delete from note where id > 1")
    run(world, "second", profile="daily", allow_deletes=("notes",))
    assert live(target) == 1
    legacy("delete from note")
    assert run(world, "third", profile="daily").outcome.status == "failed"
    assert run(world, "fourth", profile="daily", allow_deletes=("notes",)).outcome.status == "succeeded"
    assert live(target) == 0


def test_the_run_tells_how_many_rows_were_deleted(world: EngineWorld, legacy: Query) -> None:
    legacy("delete from note where id <= 3")
    done = run(world, "second", profile="daily")
    assert done.outcome.summary["deleted"] == 3
    assert "Deleted 3 in the target: notes 3." in world.alerts.published[-1][1]
    assert "| Deleted |" in world.reports.pages["second", "md"]

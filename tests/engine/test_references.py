"""References of a live pair of databases: none dangles, none is lost, and each column is counted."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import EntityTask
from hybrid_sync.failpoints import armed
from hybrid_sync.steps.verify_entity import verify_entity
from tests.engine.conftest import Query
from tests.engine.test_links import Meanwhile
from tests.engine.worlds import EngineWorld, run

NUMBERS = ("carried", "without", "waiting", "dangling", "lost")


def references(target: Query, run_id: str, entity: str) -> dict[str, dict[str, Any]]:
    [(found,)] = target(
        "select reference_counts from hybrid_sync.run_entity where run_id = %s and entity = %s", run_id, entity
    )
    return {line["column"]: line for line in found}


def numbers(target: Query, run_id: str, entity: str) -> dict[str, tuple[int, ...]]:
    found = references(target, run_id, entity)
    return {column: tuple(line[name] for name in NUMBERS) for column, line in found.items()}


def fence(target: Query, entity: str) -> list[tuple[Any, ...]]:
    return target("select version from hybrid_sync.fence where entity = %s", entity)


def test_every_reference_column_is_counted(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("update person set clinic_id = null where id in (2, 3)")
    assert run(world, "first").outcome.status == "succeeded"
    assert numbers(target, "first", "people") == {"clinic_id": (10, 2, 0, 0, 0), "manager_id": (11, 1, 0, 0, 0)}
    assert numbers(target, "first", "messages") == {"person_id": (10, 0, 0, 0, 0)}, "both sources together"
    assert numbers(target, "first", "grants") == {"person_id": (12, 0, 0, 0, 0)}, "a composite key"
    assert references(target, "first", "clinics") == {}
    assert references(target, "first", "people")["manager_id"]["parents"] == ["people"]


def test_a_reference_that_waits_for_its_parent_is_counted_and_fails_nothing(world: EngineWorld, target: Query) -> None:
    assert run(world, "first").outcome.status == "succeeded"
    assert numbers(target, "first", "visits")["best_invoice_id"] == (9, 0, 3, 0, 0), "three invoices are unpaid"
    target("update hybrid_sync.failed_record set status = 'resolved'")  # the pending link alone explains the NULL
    assert verify_entity(world, EntityTask(run_id="first", entity="visits")).conserved
    assert numbers(target, "first", "visits")["best_invoice_id"] == (9, 0, 3, 0, 0)


@pytest.mark.parametrize("profile", ["daily", "weekly"])
def test_a_reference_that_leads_nowhere_dangles_and_fails_the_entity(
    world: EngineWorld, target: Query, profile: str
) -> None:
    target("alter table grants drop constraint grants_person_id_fkey")
    run(world, "first")
    target("update grants set person_id = gen_random_uuid() where legacy_person_id = 2 and legacy_right_id < 3")
    before = fence(target, "grants")
    done = run(world, "second", profile=profile, entities=("grants",))
    line = references(target, "second", "grants")["person_id"]
    assert (line["carried"], line["dangling"], line["dangling_keys"]) == (12, 2, ["grant_of:2,1", "grant_of:2,2"])
    assert (done.outcome.status, done.verdicts["grants"].conserved) == ("failed", False)
    assert fence(target, "grants") == before


def test_a_parent_deleted_natively_leaves_its_child_dangling_whatever_an_unvalidated_key_says(
    world: EngineWorld, target: Query
) -> None:
    run(world, "first")
    target("alter table visits drop constraint visits_person_id_fkey")
    target("delete from messages; delete from grants; update people set manager_id = null")
    target("delete from people where legacy_id = 5")
    target("alter table visits add foreign key (person_id) references people not valid")
    run(world, "second", profile="daily", entities=("visits",))
    line = references(target, "second", "visits")["person_id"]
    assert (line["dangling"], line["dangling_keys"]) == (1, ["visit:5"])


def test_a_reference_to_one_of_several_parents_dangles_only_where_none_has_it(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("alter table letter add clinic_id int")
    legacy("update letter set clinic_id = 1, person_id = null where id = 1")
    target("alter table messages drop constraint messages_person_id_fkey")
    messages = world.catalog["messages"].model_dump(by_alias=True)
    either = {"any": [{"to": "people", "key": "l.person_id"}, {"to": "clinics", "key": "l.clinic_id"}]}
    messages["sources"]["letter"]["references"] = {"person_id": either}
    world.catalog = Catalog({**world.catalog.entities, "messages": Entity.model_validate(messages)})
    assert run(world, "first").outcome.status == "succeeded"
    assert references(target, "first", "messages")["person_id"]["parents"] == ["people", "clinics"]
    target("update messages set person_id = gen_random_uuid() where legacy_source = 'letter' and legacy_id = 2")
    run(world, "second", profile="daily", entities=("messages",))
    line = references(target, "second", "messages")["person_id"]
    assert (line["carried"], line["dangling"], line["dangling_keys"]) == (10, 1, ["letter:2"])


@pytest.mark.parametrize("profile", ["daily", "weekly"])
def test_a_reference_that_was_emptied_natively_is_lost_and_fails_the_entity(
    world: EngineWorld, target: Query, profile: str
) -> None:
    run(world, "first")
    target("update people set clinic_id = null where legacy_id in (4, 9)")
    before = fence(target, "people")
    done = run(world, "second", profile=profile, entities=("people",))
    found = references(target, "second", "people")
    assert (found["clinic_id"]["lost"], found["clinic_id"]["lost_keys"]) == (2, ["person:4", "person:9"])
    assert (done.outcome.status, done.verdicts["people"].conserved) == ("failed", False)
    assert fence(target, "people") == before
    assert run(world, "third", profile="verify", repair=True).outcome.status == "succeeded"
    assert numbers(target, "third", "people") == {"clinic_id": (12, 0, 0, 0, 0), "manager_id": (11, 1, 0, 0, 0)}


def test_a_lost_reference_beside_one_too_many_is_found_all_the_same(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    target("update people set manager_id = id where legacy_id = 1")
    target("update people set manager_id = null where legacy_id = 7")
    done = run(world, "second", profile="daily", entities=("people",))
    line = references(target, "second", "people")["manager_id"]
    assert (line["carried"], line["without"], line["lost"], line["lost_keys"]) == (11, 1, 1, ["person:7"])
    assert not done.verdicts["people"].conserved


def test_a_failed_record_is_no_lost_reference(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("update visit set note = 'forbidden', person_id = 1 where id = 3; update person set clinic_id = null")
    run(world, "first")
    legacy("update person set clinic_id = 77 where id = 5")
    assert run(world, "second", profile="daily").outcome.status == "degraded"
    assert numbers(target, "second", "people")["clinic_id"] == (0, 11, 0, 0, 0)


def test_a_row_that_legacy_changes_during_the_verdict_is_no_lost_reference(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("update person set clinic_id = null where id = 5")
    run(world, "first")

    def legacy_goes_on() -> None:
        legacy("update person set clinic_id = 1 where id = 5")

    # Without what the reconcile has seen the verification looks for itself.
    target("update hybrid_sync.run_entity set seen = null")
    with armed({"verify.snapshots": Meanwhile(legacy_goes_on)}):
        assert verify_entity(world, EntityTask(run_id="first", entity="people")).conserved
    assert numbers(target, "first", "people")["clinic_id"] == (11, 0, 0, 0, 0)


def test_an_asked_for_row_is_counted_alone(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    run(world, "asked", profile="on_demand", refs=({"entity": "people", "legacy_id": 5},))
    assert numbers(target, "asked", "people") == {"clinic_id": (1, 0, 0, 0, 0), "manager_id": (1, 0, 0, 0, 0)}

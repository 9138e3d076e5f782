"""`patient.erased` and `patient.merged`: a run erases, or records a merge, once; and nobody may who should not."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_sync.contracts import Act, Profile, RollbackTask, RunRequest
from hybrid_sync.errors import Contention, ErasuresBehind, RequestForbidden, RequestRejected
from hybrid_sync.failpoints import FailpointRaised, Raise, armed
from hybrid_sync.postgres import transaction
from hybrid_sync.report.render import to_markdown
from hybrid_sync.report.summary import summarise
from hybrid_sync.steps.act_on_people import require_possible
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.rollback_run import rollback_run
from tests.engine.conftest import Query
from tests.engine.erasures import POLICIES, with_erasure
from tests.engine.policies import soft, with_policies
from tests.engine.test_erasure import CANARIES, anywhere
from tests.engine.worlds import EngineWorld, run

BY = "webhook:registry"
STEPS = ("locked", "entered", "rows_changed", "certified", "kept_outside", "committed")


@pytest.fixture
def erasing(world: EngineWorld) -> EngineWorld:
    with_policies(world, people=soft(internal_note="'gone'"))
    with_erasure(world, people={**POLICIES["people"], "events_a_day": 3})
    run(world, "first")
    return world


def act(world: EngineWorld, run_id: str, *keys: int, act: Act = "erase", entity: str = "people") -> Any:
    refs = [{"entity": entity, "legacy_id": key} for key in keys]
    return run(world, run_id, profile="on_demand", act=act, refs=refs, requested_by=BY).outcome


def trail(target: Query) -> list[tuple[Any, ...]]:
    return target(
        "select request_id, who, command, outcome, code, what->'erasure' from hybrid_sync.audit order by 1, 2"
    )


def merge_in_legacy(legacy: Query, old: int, survivor: int) -> None:
    for table in ("visit", "remark", "letter"):
        legacy(f"update {table} set person_id = {survivor} where person_id = {old}")
    legacy(f"delete from grant_of where person_id = {old}")
    legacy(f"update person set manager_id = {survivor} where manager_id = {old}")
    legacy(f"delete from person where id = {old}")


def test_an_event_erases_once_however_often_it_comes(erasing: EngineWorld, target: Query) -> None:
    assert act(erasing, "evt-1", 3).status == "succeeded"
    assert anywhere(target, *CANARIES) == set()
    plan_run(erasing, RunRequest.model_validate({  # its first step again, as a lost answer has it repeated
        "run_id": "evt-1", "profile": "on_demand", "act": "erase", "refs": [{"entity": "people", "legacy_id": 3}],
        "requested_by": BY,
    }))  # fmt: skip
    assert trail(target) == [("evt-1", BY, "erase", "done", None, 1)]
    assert act(erasing, "evt-2", 3).status == "succeeded", "the same person under another event's number"
    [(certificate,)] = target("select certificate from hybrid_sync.erasure")
    assert (certificate["by"], certificate["request"], certificate["kind"]) == (BY, "evt-1", "erased")
    assert trail(target)[1:] == [("evt-2", BY, "erase", "done", None, 1)]


def test_the_report_of_a_run_that_erased_people_says_so(erasing: EngineWorld, target: Query) -> None:
    act(erasing, "evt-1", 3)
    run(erasing, "evt-2", profile="on_demand", refs=[{"entity": "people", "legacy_id": 4}])
    with erasing.connect_target() as connection, transaction(connection, "target", read_only=True):
        erased, synced = (to_markdown(summarise(connection, name, erasing.catalog)) for name in ("evt-1", "evt-2"))
    assert "the run erased the persons whose rows were named" in erased
    assert "erased" not in synced


def test_an_unknown_key_is_answered_in_a_sentence_and_nobody_is_suppressed(erasing: EngineWorld, target: Query) -> None:
    with pytest.raises(
        RequestRejected, match="Neither legacy nor the target has ever had people:999; nobody was erased"
    ):
        act(erasing, "evt-1", 3, 999)
    assert trail(target) == [("evt-1", BY, "erase", "refused", "request_rejected", None)]
    assert not target("select 1 from hybrid_sync.suppressed")
    assert target("select email from people where legacy_id = 3") == [("person3@example.org",)]


def test_events_erase_only_what_the_catalog_lets_them_and_no_more_a_day(erasing: EngineWorld, target: Query) -> None:
    assert act(erasing, "evt-1", 3, 4).status == "succeeded"
    with pytest.raises(RequestForbidden, match="erase 3 rows of people a day, and this request would make it 4"):
        act(erasing, "evt-2", 5, 6)
    with pytest.raises(RequestForbidden, match="erase 0 rows of visits a day"):
        act(erasing, "evt-3", 5, entity="visits")
    assert target("select count(*) from people where born is null") == [(2,)]
    assert [line[3] for line in trail(target)] == ["done", "refused", "refused"]


@pytest.mark.parametrize("more", [{"profile": "weekly"}, {"entities": ["people"]}, {"refs": []}])
def test_only_named_rows_are_erased(more: dict[str, Any]) -> None:
    given = {"profile": Profile.on_demand, "refs": [{"entity": "people", "legacy_id": 3}], "act": "erase", **more}
    with pytest.raises(RequestRejected, match="names 1 to 100 rows and nothing else"):
        require_possible(RunRequest.model_validate({"run_id": "evt-1", **given}))


def test_a_crash_at_any_step_is_made_good_by_the_next_attempt(erasing: EngineWorld, target: Query) -> None:
    with_erasure(erasing, people={**POLICIES["people"], "events_a_day": 12})
    for n, step in enumerate(STEPS, 1):
        person, name = n + 2, f"evt-{n}"
        with armed({f"erase.{step}": Raise()}), pytest.raises(FailpointRaised):
            act(erasing, name, person)
        assert act(erasing, name, person).status == "succeeded", step
        words = (f"person{person}@", f"remark {person}", f"letter {person}", f"visit {person}")
        assert anywhere(target, *words) == set(), step
        assert sorted(erasing.erasures.kept) == list(range(1, n + 1)), step
        assert target("select certificate->>'request' from hybrid_sync.erasure where n = %s", n) == [(name,)]
        assert trail(target)[n - 1 :] == [(name, BY, "erase", "done", None, n)], step


def test_while_another_erasure_is_broken_off_nobody_is_erased(erasing: EngineWorld) -> None:
    """Between the two looks of one attempt."""

    class Late(type(erasing.erasures)):  # type: ignore[misc]
        looks = 0

        def numbers(self) -> list[int]:
            self.looks += 1
            return [] if self.looks == 1 else [7]

    erasing.erasures = Late()
    with pytest.raises(ErasuresBehind, match="made good first"):
        act(erasing, "evt-1", 3)


def test_merged_rows_go_to_their_survivor_and_the_old_key_stays_away(
    erasing: EngineWorld, legacy: Query, target: Query
) -> None:
    with pytest.raises(Contention, match="Legacy still has people:3, and so has not merged it"):
        act(erasing, "evt-0", 3, act="merge")
    assert not trail(target), "it is tried again"
    merge_in_legacy(legacy, 3, 4)
    assert act(erasing, "evt-1", 3, act="merge").status == "succeeded"
    assert target("select email, born, internal_note from people where legacy_id = 3") == [("erased-3", None, "gone")]
    whose = target(
        "select distinct p.legacy_id from visits v join people p on p.id = v.person_id where v.legacy_id = 3"
    )
    assert whose == [(4,)]
    assert target(
        "select count(*), min(p.legacy_id), min(m.body) from messages m join people p on p.id = m.person_id"
        " where m.legacy_id = 3"
    ) == [(2, 4, "letter 3")]
    [(certificate,)] = target("select certificate from hybrid_sync.erasure")
    assert (certificate["kind"], certificate["suppressed"]) == ("merged", {"people": 1})
    assert trail(target)[-1] == ("evt-1", BY, "merge", "done", None, 1)
    # A legacy that comes back from a backup has it again, and nobody else has lost a row.
    legacy("insert into person (id, clinic_id, email) values (3, 1, 'person3@example.org')")
    for profile in ("daily", "weekly"):
        assert run(erasing, profile, profile=profile).outcome.status == "succeeded"
        assert anywhere(target, "person3@") == set()
    assert target("select internal_note from people where legacy_id = 3") == [("gone",)]


def test_no_undo_and_no_restored_target_brings_a_merged_row_back(
    erasing: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("update person set email = 'moved@example.org' where id = 3")
    run(erasing, "second")
    assert {table for _, table in anywhere(target, "person3@")} >= {"hybrid_sync.journal"}
    merge_in_legacy(legacy, 3, 4)
    before = target("select id, email, born, settings from people where legacy_id = 3")
    act(erasing, "evt-1", 3, act="merge")
    outcome = rollback_run(erasing, RollbackTask(run_id="evt-1"))
    while outcome.more:
        outcome = rollback_run(erasing, RollbackTask(run_id="evt-1", rollback_id=outcome.rollback_id))
    assert anywhere(target, "person3@", '"n": 3}') == set()
    target("update hybrid_sync.entity_state set held = false")
    # What a backup of before the merge brings.
    target("delete from hybrid_sync.suppressed")
    target("delete from hybrid_sync.erasure")
    target("delete from hybrid_sync.fence")
    target("update people set email = 'person3@example.org', internal_note = null where legacy_id = 3")
    target("update messages set person_id = %s where legacy_id = 3", before[0][0])
    assert run(erasing, "weekly-1", profile="weekly").outcome.status == "succeeded"
    assert anywhere(target, "person3@") == set()
    assert target("select count(*) from messages where legacy_id = 3 and person_id <> %s", before[0][0]) == [(2,)]
    assert target("select count(*) from hybrid_sync.suppressed where alone") == [(1,)]


def test_rows_that_legacy_has_moved_to_another_are_not_erased_with_the_person(
    erasing: EngineWorld, legacy: Query, target: Query
) -> None:
    """And no run has seen it yet."""
    legacy("update letter set person_id = 4 where id = 3")
    assert act(erasing, "evt-1", 3).status == "succeeded"
    assert anywhere(target, "remark 3", "visit 3") == set()
    run(erasing, "second")
    assert target("select p.legacy_id from messages m join people p on p.id = m.person_id where body = 'letter 3'") == [
        (4,)
    ]

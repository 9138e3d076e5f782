"""What is gone from legacy follows its policy, and what comes back is the row that it was."""

from __future__ import annotations

import pytest

from tests.engine.conftest import Query
from tests.engine.policies import HARD, conserved, everything_hard, soft, told, with_policies
from tests.engine.worlds import EngineWorld, run


@pytest.mark.parametrize("profile", ["weekly", "daily"])
def test_a_hard_delete_follows_and_its_key_comes_back_with_its_id(
    world: EngineWorld, legacy: Query, target: Query, profile: str
) -> None:
    with_policies(world, messages=HARD, grants=HARD)
    run(world, "first")
    before = target("select id from messages where legacy_source = 'letter' and legacy_id = 2")
    legacy("delete from letter where id = 2; delete from grant_of where person_id = 2 and right_id = 3")
    done = run(world, "second", profile=profile)
    assert done.outcome.status == "succeeded"
    assert target("select legacy_source, legacy_id from messages where legacy_id = 2") == [("remark", 2)]
    assert told(target, "second", "messages") == {
        "candidates": 1, "deleted": 1, "soft": 0, "back": 0, "refused": {}, "undeleted": 0, "guarded": 0, "done": True,
    }  # fmt: skip
    assert conserved(target, "second", "grants") == {
        "current": 11, "target": 11, "pending_deletes": 0, "tombstones": 0, "missing": 0,
    }  # fmt: skip
    legacy("insert into letter (id, person_id, body) values (2, 2, 'again')")
    assert run(world, "third").outcome.status == "succeeded"
    assert target("select id, body from messages where legacy_source = 'letter' and legacy_id = 2") == [
        (before[0][0], "again")
    ]


@pytest.mark.parametrize("profile", ["weekly", "daily"])
def test_a_soft_delete_sets_its_columns_and_the_return_of_the_key_puts_them_back(
    world: EngineWorld, legacy: Query, target: Query, profile: str
) -> None:
    target("alter table messages add deleted_at timestamptz, add gone boolean not null default false, add note text")
    with_policies(world, messages=soft(deleted_at="now()", gone="true", body="'removed'"))
    run(world, "first")
    target("update messages set note = 'native' where legacy_source = 'letter' and legacy_id = 2")
    legacy("delete from letter where id = 2")
    state = (
        "select deleted_at is not null, gone, body, note from messages where legacy_source = 'letter' and legacy_id = 2"
    )
    assert run(world, "second", profile=profile).outcome.status == "succeeded"
    assert target(state) == [(True, True, "removed", "native")]
    expected = {"current": 9, "target": 9, "pending_deletes": 0, "tombstones": 1, "missing": 0}
    assert conserved(target, "second", "messages") == expected
    assert run(world, "quiet", profile=profile).outcome.status == "succeeded"
    assert (conserved(target, "quiet", "messages"), told(target, "quiet", "messages")["candidates"]) == (expected, 0)
    legacy("insert into letter (id, person_id, body) values (2, 2, 'letter 2')")
    assert run(world, "third", profile=profile).outcome.status == "succeeded"
    assert target(state) == [(False, False, "letter 2", "native")]
    assert told(target, "third", "messages")["undeleted"] == 1
    assert conserved(target, "third", "messages")["tombstones"] == 0


def test_a_row_that_comes_back_bad_is_a_failed_record_and_returns_when_it_is_good(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    target("alter table messages add deleted_at timestamptz")
    with_policies(world, messages=soft(deleted_at="now()"))
    run(world, "first")
    legacy("delete from letter where id = 2")
    run(world, "second")
    legacy("insert into letter (id, person_id, body) values (2, 999, 'back')")
    assert run(world, "third").outcome.status == "degraded"
    assert conserved(target, "third", "messages")["tombstones"] == 1
    legacy("update letter set person_id = 2 where id = 2")
    assert run(world, "fourth").outcome.status == "succeeded"
    assert target("select deleted_at, body from messages where legacy_source = 'letter' and legacy_id = 2") == [
        (None, "back")
    ]


def test_a_row_that_the_target_does_not_let_come_back_is_a_failed_record(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    target("alter table messages add deleted_at timestamptz")
    with_policies(world, messages=soft(deleted_at="now()"))
    run(world, "first")
    legacy("delete from letter where id in (2, 3)")
    run(world, "second")
    target("alter table messages add check (deleted_at is not null or body <> 'letter 2') not valid")
    legacy("insert into letter (id, person_id, body) values (2, 2, 'letter 2'), (3, 3, 'letter 3')")
    assert run(world, "third").outcome.status == "degraded"
    assert target(
        "select key, reason from hybrid_sync.failed_record where entity = 'messages' and status = 'open'"
    ) == [([2], "check_violation")]
    assert told(target, "third", "messages")["undeleted"] == 1


def test_a_column_that_a_person_has_changed_since_stays_when_the_key_returns(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    target("alter table messages add deleted_at timestamptz, add state text")
    with_policies(world, messages=soft(deleted_at="now()", state="'deleted'"))
    run(world, "first")
    legacy("delete from remark where id = 1")
    run(world, "second")
    target("update messages set state = 'archived' where state = 'deleted'")
    legacy("insert into remark (id, person_id, body) values (1, 1, 'remark 1')")
    run(world, "third")
    assert target("select deleted_at, state from messages where legacy_source = 'remark' and legacy_id = 1") == [
        (None, "archived")
    ]


def test_a_row_that_leaves_its_rule_goes_and_returns(world: EngineWorld, legacy: Query, target: Query) -> None:
    everything_hard(world)
    run(world, "first")
    before = target("select id from invoices where legacy_id = 1")
    legacy("update visit set best_invoice_id = null where id = 1; update invoice set paid = false where id = 1")
    assert run(world, "second", profile="daily").outcome.status == "succeeded"
    assert target("select count(*) from invoices where legacy_id = 1") == [(0,)]
    legacy("update invoice set paid = true where id = 1")
    assert run(world, "third").outcome.status == "succeeded"
    assert target("select id from invoices where legacy_id = 1") == before


def test_rows_that_refer_to_each_other_go_together(world: EngineWorld, legacy: Query, target: Query) -> None:
    """Children first, a chain of managers from its end, and a visit whose best invoice is its own."""
    everything_hard(world)
    run(world, "first")
    legacy(
        "delete from visit where person_id > 8; delete from invoice where visit_id > 8; delete from person where id > 8"
    )
    done = run(world, "second")
    assert done.outcome.status == "succeeded"
    assert {e: told(target, "second", e)["deleted"] for e in ("people", "visits", "invoices")} == {
        "people": 4, "visits": 4, "invoices": 3,
    }  # fmt: skip
    assert target("select (select max(legacy_id) from people), (select max(legacy_id) from visits)") == [(8, 8)]


def test_the_failed_record_of_a_row_that_is_gone_is_closed(world: EngineWorld, legacy: Query, target: Query) -> None:
    with_policies(world, messages=HARD)
    run(world, "first")
    legacy("update person set settings = 'no json' where id in (3, 12)")
    legacy("insert into person (id, clinic_id, settings) values (50, 1, 'no json')")
    run(world, "second")
    assert target("select count(*) from hybrid_sync.failed_record where reason = 'bad_json' and status = 'open'") == [
        (3,)
    ]
    legacy("delete from visit where id = 12; delete from person where id in (12, 50)")
    run(world, "third")
    assert target("select key from hybrid_sync.failed_record where reason = 'bad_json' and status = 'open'") == [([3],)]


def test_a_row_that_was_asked_for_and_is_gone_is_deleted_at_once(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    with_policies(world, messages=HARD)
    run(world, "first")
    legacy("delete from letter where id in (1, 2)")
    refs = ({"entity": "messages", "source": "letter", "legacy_id": 2},)
    run(world, "asked", profile="on_demand", refs=refs)
    assert target("select legacy_id from messages where legacy_source = 'letter' order by 1") == [(1,), (3,), (4,)]

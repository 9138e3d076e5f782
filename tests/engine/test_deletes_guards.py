"""A delete is refused where somebody else would pay for it, and stops where legacy itself looks wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from hybrid_sync.catalog.models import OnDelete
from hybrid_sync.contracts import DeleteTask
from hybrid_sync.failpoints import FailpointRaised, Raise, armed
from hybrid_sync.steps.propagate_deletes import propagate_deletes
from tests.engine.conftest import Query
from tests.engine.policies import HARD, conserved, everything_hard, kept, told, with_policies
from tests.engine.worlds import EngineWorld, run


@pytest.mark.parametrize("action", ["cascade", "set null"])
def test_native_children_of_tables_that_we_do_not_manage_keep_their_parent(
    world: EngineWorld, legacy: Query, target: Query, action: str
) -> None:
    target(f"create table stars (letter_id uuid references messages on delete {action})")
    with_policies(world, messages=HARD)
    run(world, "first")
    target("insert into stars select id from messages where legacy_source = 'letter' and legacy_id = 2")
    legacy("delete from letter where id in (2, 3)")
    done = run(world, "second")
    assert done.outcome.status == "succeeded"
    assert target("select count(*) from stars s join messages m on m.id = s.letter_id") == [(1,)]
    assert kept(target, "second") == [("messages", [2], "native_children")]
    assert told(target, "second", "messages")["refused"] == {"native_children": 1}
    assert conserved(target, "second", "messages")["pending_deletes"] == 1


def test_native_rows_of_a_mapped_table_keep_their_parent_with_and_without_a_foreign_key(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    everything_hard(world)
    run(world, "first")
    target(
        "insert into messages (id, person_id, body) select gen_random_uuid(), id, '' from people where legacy_id = 11"
    )
    target("alter table messages drop constraint messages_person_id_fkey")
    target("insert into grants (id, person_id, level) select gen_random_uuid(), id, 1 from people where legacy_id = 12")
    legacy("delete from visit where id > 10; delete from invoice where id > 10; delete from person where id > 10")
    assert run(world, "second").outcome.status == "succeeded"
    assert kept(target, "second") == [("people", [11], "native_children"), ("people", [12], "native_children")]


def test_a_row_stays_while_a_row_that_legacy_still_has_refers_to_it(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    everything_hard(world)
    run(world, "first")
    legacy("delete from person where id = 12")  # its visit is an orphan in legacy now
    run(world, "second")
    assert kept(target, "second") == [("people", [12], "still_referred")]
    legacy("delete from visit where id = 12")
    assert run(world, "third").outcome.status == "succeeded"
    assert target("select count(*) from people where legacy_id = 12") == [(0,)]


@pytest.mark.parametrize(("policy", "status"), [("hard", "degraded"), ("ignore", "succeeded")])
def test_money_that_stays_because_a_row_refers_to_it_degrades_a_run_that_should_delete_it(
    world: EngineWorld, legacy: Query, target: Query, policy: str, status: str
) -> None:
    everything_hard(world)
    with_policies(world, invoices=OnDelete(policy=policy))
    run(world, "first")
    legacy("delete from invoice where id = 1")  # the visit's best invoice, as legacy still says
    assert run(world, "second").outcome.status == status
    assert kept(target, "second") == [("invoices", [1], "still_referred" if policy == "hard" else "ignored")]
    said = "could not be deleted in the target: still_referred (invoice:1)" in world.reports.pages["second", "md"]
    assert said == (policy == "hard")
    [(lines,)] = target("select money from hybrid_sync.run_entity where run_id = 'second' and entity = 'invoices'")
    apart = [(line["currency"], line["pending_deletes"], line["equal"]) for line in lines if not line["agrees"]]
    assert apart == [("JPY", "10.05", True)]


def test_a_row_that_a_trigger_keeps_costs_only_itself(world: EngineWorld, legacy: Query, target: Query) -> None:
    with_policies(world, messages=HARD)
    run(world, "first")
    target(
        "create function refuse() returns trigger language plpgsql as $$ begin"
        " if old.legacy_id = 1 then raise exception 'no'; elsif old.legacy_id = 2 then return null; end if;"
        " return old; end $$; create trigger refuse before delete on messages for each row execute function refuse()"
    )
    legacy("delete from letter")
    done = run(world, "second", allow_deletes=("messages",))
    assert done.outcome.status == "degraded"
    for key, why in ((1, "trigger_exception"), (2, "trigger_suppressed")):
        assert f"could not be deleted in the target: {why} (letter:{key})" in world.reports.pages["second", "md"]
    assert kept(target, "second") == [("messages", [1], "trigger_exception"), ("messages", [2], "trigger_suppressed")]
    assert told(target, "second", "messages")["deleted"] == 2


def test_an_empty_legacy_does_not_wipe_the_target_until_a_person_says_so(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    with_policies(world, messages=OnDelete(policy="hard", floor=3, share=0.2), grants=HARD)
    run(world, "first")
    legacy("delete from remark; delete from letter; delete from grant_of where person_id = 1")
    done = run(world, "second")
    assert done.outcome.status == "failed"
    assert target("select count(*) from messages") == [(10,)]
    [(status, failure)] = target(
        "select status, failure from hybrid_sync.run_entity where run_id = 'second' and entity = 'messages'"
    )
    assert (status, failure["code"]) == ("incomplete", "delete_guard")
    assert failure["text"].endswith("hybrid-sync sync --profile weekly --allow-deletes messages")
    assert (told(target, "second", "messages")["guarded"], told(target, "second", "grants")["deleted"]) == (10, 3)
    assert run(world, "third", allow_deletes=("messages",)).outcome.status == "succeeded"
    assert target("select count(*) from messages") == [(0,)]


def test_a_small_share_passes_the_guard_however_many_rows_it_is(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    with_policies(world, messages=OnDelete(policy="hard", floor=0, share=0.5))
    run(world, "first")
    legacy("delete from letter where id > 2")
    assert run(world, "second").outcome.status == "succeeded"
    assert target("select count(*) from messages") == [(8,)]


def test_a_row_that_is_back_when_its_bucket_is_locked_stays(world: EngineWorld, legacy: Query, target: Query) -> None:
    with_policies(world, messages=HARD)
    run(world, "first")
    legacy("delete from letter where id in (2, 3)")
    with armed({"delete.listed": Raise()}), pytest.raises(FailpointRaised):
        run(world, "second", entities=("messages",))
    legacy("insert into letter (id, person_id, body) values (2, 2, 'back')")
    propagate_deletes(world, DeleteTask(run_id="second"))
    counts = told(target, "second", "messages")
    assert (counts["deleted"], counts["back"]) == (1, 1)
    assert target("select legacy_id from messages where legacy_source = 'letter' order by 1") == [(1,), (2,), (4,)]


@pytest.mark.parametrize("point", ["delete.locked", "delete.written", "delete.before_commit", "delete.committed"])
def test_a_crash_leaves_all_of_a_page_or_nothing_and_a_repeat_completes_it(
    world: EngineWorld, legacy: Query, target: Query, point: str
) -> None:
    with_policies(world, messages=HARD)
    run(world, "first")
    legacy("delete from letter where id in (2, 3)")
    with armed({point: Raise()}), pytest.raises(FailpointRaised):
        run(world, "second", entities=("messages",))
    assert target("select count(*) from messages") == [(8 if point == "delete.committed" else 10,)]
    for _ in range(2):
        assert not propagate_deletes(world, DeleteTask(run_id="second")).more
    assert target("select count(*) from messages") == [(8,)]
    assert told(target, "second", "messages")["deleted"] == 2
    assert target("select count(*) from hybrid_sync.journal where operation = 'delete'") == [(2,)]


def test_nothing_is_deleted_on_the_word_of_another_server(world: EngineWorld, legacy: Query, target: Query) -> None:
    with_policies(world, messages=HARD)
    run(world, "first")
    legacy("delete from letter where id in (2, 3)")
    with armed({"delete.listed": Raise()}), pytest.raises(FailpointRaised):
        run(world, "second", entities=("messages",))
    target("""update hybrid_sync.run set fence = fence || '{"system_identifier": "1"}' where run_id = 'second'""")
    propagate_deletes(world, DeleteTask(run_id="second"))
    assert target("select count(*) from messages") == [(10,)]
    assert target("select error from hybrid_sync.run_failure where entity = 'messages'") == [("legacy_replaced",)]


def test_a_check_deletes_nothing_unless_it_repairs(world: EngineWorld, legacy: Query, target: Query) -> None:
    with_policies(world, messages=HARD)
    run(world, "first")
    legacy("delete from letter where id = 2")
    run(world, "check", profile="verify")
    assert target("select count(*) from messages") == [(10,)]
    run(world, "repair", profile="verify", repair=True)
    assert target("select count(*) from messages") == [(9,)]


def test_two_deliveries_at_once_delete_a_row_once(world: EngineWorld, legacy: Query, target: Query) -> None:
    with_policies(world, messages=HARD)
    run(world, "first")
    legacy("delete from letter")
    with armed({"delete.listed": Raise()}), pytest.raises(FailpointRaised):
        run(world, "second", entities=("messages",), allow_deletes=("messages",))
    target("update hybrid_sync.run_entity set deletes = null where run_id = 'second'")
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(propagate_deletes, world, DeleteTask(run_id="second")) for _ in range(4)]
    assert [answer.result().more for answer in answers] == [False] * 4
    assert told(target, "second", "messages")["deleted"] == 4
    assert target("select count(*) from hybrid_sync.journal where operation = 'delete'") == [(4,)]

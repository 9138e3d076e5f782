"""Erased people: their rows go or lose what is personal, and no way of writing brings them back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Adopt, OnDelete
from hybrid_sync.contracts import Profile, RollbackTask, RunRequest
from hybrid_sync.errors import ConfigurationMissing, ErasuresBehind, RequestRejected
from hybrid_sync.failpoints import armed
from hybrid_sync.postgres import transaction
from hybrid_sync.schema.install import install
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.retry_failure import retry_failure
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync.steps.sync_batch import sync_batch
from hybrid_sync.undo.begin import begin
from hybrid_sync.undo.undo import steps, undo_batch
from tests.engine.conftest import Query
from tests.engine.erasures import erase_rows, with_erasure
from tests.engine.policies import with_policies
from tests.engine.worlds import EngineWorld, run

CANARIES = ("person3@example.org", "Person3@Example.org", "remark 3", "letter 3", "visit 3", '"n": 3}')


@pytest.fixture
def erasing(world: EngineWorld) -> EngineWorld:
    with_erasure(world)
    run(world, "first")
    return world


def anywhere(target: Query, *words: str) -> set[tuple[str, str]]:
    """In which tables of the target the words stand, whatever their schema."""
    tables = target(
        "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('public', 'hybrid_sync')"
    )
    return {
        (word, table)
        for (table,) in tables for word in words
        if target(f"select 1 from {table} t where position(%s in t::text) > 0 limit 1", word)
    }  # fmt: skip


def states(target: Query, run_id: str) -> dict[str, str]:
    return dict(target("select entity, status from hybrid_sync.run_entity where run_id = %s", run_id))


def conservation(target: Query, run_id: str, entity: str) -> dict[str, Any]:
    found: dict[str, Any] = target(
        "select conservation from hybrid_sync.run_entity where run_id = %s and entity = %s", run_id, entity
    )[0][0]
    return found


def test_a_persons_rows_go_or_lose_what_is_personal_and_the_rest_stays(erasing: EngineWorld, target: Query) -> None:
    assert len({word for word, _ in anywhere(target, *CANARIES)}) == 4, "what is looked for can be found"
    before = target("select count(*) from people")[0][0]
    certificate = erase_rows(erasing, (3,))
    assert certificate.deleted == {"grants": 3, "messages": 2}
    assert certificate.pseudonymised == {"people": 1, "visits": 1}
    assert certificate.by == "somebody"
    assert anywhere(target, *CANARIES) == set()
    assert target("select email, born, settings from people where legacy_id = 3") == [("erased-3", None, {})]
    assert target("select count(*) from people")[0][0] == before
    assert target("select count(*) from invoices where legacy_id = 3") == [(1,)]
    assert target("select count(*) from messages where legacy_id = 4 and legacy_source = 'remark'") == [(1,)]
    assert target("select certificate from hybrid_sync.erasure") == [(certificate.model_dump(mode="json"),)]
    # The list says nobody's key; none of ours takes a line off it, and only the secret that made it reads it.
    [kept] = erasing.erasures.kept.values()
    [one] = [one for one in kept.keys if one.entity == "people"]
    assert (one.bucket, len(one.hash)) == (0, 32)
    worker = conninfo_to_dict(erasing.target_dsn)["user"]
    for table in ("erasure", "suppressed"):
        for right in ("update", "delete", "truncate"):
            assert target(f"select has_table_privilege(%s, 'hybrid_sync.{table}', '{right}')", worker) == [(False,)]
    erasing.id_secret = b"another secret"
    with pytest.raises(ConfigurationMissing, match="another id secret"):
        run(erasing, "second")


def test_no_later_run_brings_them_back_and_it_verifies(erasing: EngineWorld, legacy: Query, target: Query) -> None:
    erase_rows(erasing, (3,))
    legacy("update person set email = email, born = born + 1; update remark set body = body")
    legacy("update invoice set total = total + 1")
    legacy("insert into remark (person_id, body) values (3, 'remark 3 again')")
    legacy("insert into visit (id, person_id, note) values (50, 3, 'visit 3 again')")
    for profile in ("daily", "weekly", "verify"):
        assert run(erasing, profile, profile=profile).outcome.status == "succeeded"
        assert set(states(target, profile).values()) == {"verified"}
        assert anywhere(target, *CANARIES, "3 again") == set()
        messages = conservation(target, profile, "messages")
        assert (messages["erased"], messages["excluded"], messages["missing"], messages["absent"]) == (3, 3, 0, 0)
        assert "(6 of them erased)" in erasing.alerts.published[-1][1], erasing.alerts.published[-1][1]
    assert target("select note from visits where legacy_id in (3, 50)") == [(None,), (None,)]
    assert target("select total from invoices where legacy_id = 3")[0][0] == Decimal("31.15"), "the books go on"
    legacy("update person set born = born + 1 where id = 3; update remark set body = 'remark 3 changed' where id = 3")
    refs = [{"entity": "people", "legacy_id": 3}, {"entity": "messages", "source": "remark", "legacy_id": 3}]
    assert run(erasing, "few", profile="on_demand", refs=refs).outcome.status == "succeeded"
    assert anywhere(target, *CANARIES, "3 again") == set()


@pytest.mark.parametrize("block", ["", "begin {} exception when division_by_zero then null; end;"])
def test_what_a_trigger_changes_meanwhile_is_told_by_the_next_run(
    erasing: EngineWorld, target: Query, block: str
) -> None:
    body = "update public.visits set note = 'beside' where legacy_id = 5 and new.legacy_id = 3;"
    target("create function f() returns trigger language plpgsql security definer as"
           f" $$ begin {(block or '{}').format(body)} return new; end $$")  # fmt: skip
    target("create trigger t after update on public.people for each row execute function f()")
    erase_rows(erasing, (3,))
    assert target("select note from visits where legacy_id = 5") == [("beside",)]
    run(erasing, "next", profile="daily")
    told = "select entity, key[1], reason from hybrid_sync.failed_record where reason = 'trigger_changed_value'"
    assert target(told) == [("visits", 5, "trigger_changed_value")]


def test_a_batch_whose_plan_is_older_than_the_erasure_leaves_them_out(
    erasing: EngineWorld, legacy: Query, target: Query
) -> None:
    """The plan of a run is made before its batches; an erasure in between is seen behind their locks."""
    legacy("update person set born = born + 1; update remark set body = body")
    planned = plan_run(erasing, RunRequest(run_id="second", profile=Profile.weekly))
    tasks = [task for task in planned.entities if task.entity in ("people", "messages")]
    for task in tasks:
        plan_entity(erasing, task)
    erase_rows(erasing, (3,))
    for task in tasks:
        for batch in erasing.manifests.read("second", task.entity) or ():
            sync_batch(erasing, batch)
    assert anywhere(target, *CANARIES) == set()
    assert target("select count(*) from people where born is not null") == [(11,)]


def test_no_undo_brings_them_back(erasing: EngineWorld, legacy: Query, target: Query) -> None:
    with_policies(erasing, messages=OnDelete(policy="hard"), grants=OnDelete(policy="hard"))
    with_erasure(erasing)
    legacy("update person set email = 'New' || id || '@example.org'; delete from remark where id in (3, 4)")
    legacy("update letter set person_id = 4, body = 'was ' || body where id = 3")
    run(erasing, "second", allow_deletes=["messages"])
    assert {table for _, table in anywhere(target, "remark 3")} & {"hybrid_sync.journal"}
    erase_rows(erasing, (3,))
    another = {("letter 3", "public.messages")}
    assert anywhere(target, *CANARIES, "new3@") == another, "it is of another person by now"
    outcome = rollback_run(erasing, RollbackTask(run_id="second"))
    while outcome.more:
        outcome = rollback_run(erasing, RollbackTask(run_id="second", rollback_id=outcome.rollback_id))
    assert anywhere(target, *CANARIES, "new3@") == another
    assert target("select count(*) from messages where body = 'remark 4'") == [(1,)], "others come back"


def test_a_rollback_that_has_listed_what_is_then_erased_undoes_the_rest(
    erasing: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("update remark set body = 'new 3' where id = 3; update letter set body = 'new 4' where id = 4")
    run(erasing, "second")
    with erasing.connect_target() as connection, transaction(connection, "target"):
        under_way = begin(connection, erasing.catalog, RollbackTask(run_id="second"))
        listed = steps(connection, erasing.catalog, under_way.rollback_id, "second")
    erase_rows(erasing, (3,))
    with erasing.connect_target() as connection:
        for step in listed:
            with transaction(connection, "target"):
                undo_batch(connection, erasing.catalog, step)
    assert anywhere(target, *CANARIES, "new 3") == set()
    assert target("select body from messages where legacy_id = 4 and legacy_source = 'letter'") == [("letter 4",)]


def test_a_restored_target_is_made_to_forget_them_before_anything_is_written(
    erasing: EngineWorld, legacy: Query, target: Query
) -> None:
    erase_rows(erasing, (3,))
    # What a backup of before the erasure brings: the rows, and a list that does not know of it.
    target("delete from hybrid_sync.suppressed")
    target("delete from hybrid_sync.erasure")
    target("update people set email = 'person3@example.org' where legacy_id = 3")
    target(
        "insert into messages select gen_random_uuid(), 'remark', 77, id, 'remark 3 of old' from people"
        " where legacy_id = 3"
    )
    with pytest.raises(ErasuresBehind, match="it was restored"):
        rollback_run(erasing, RollbackTask(run_id="first"))
    with pytest.raises(RequestRejected, match="Then erase again"):
        erase_rows(erasing, (4,))
    run(erasing, "second")
    assert anywhere(target, *CANARIES) == set()
    assert target("select n from hybrid_sync.erasure") == [(1,)]
    kept = dict(erasing.erasures.kept)
    erasing.erasures.kept.clear()  # and what is lost outside goes back there
    assert run(erasing, "third").outcome.status == "succeeded"
    assert set(kept[1].keys) <= set(erasing.erasures.kept[1].keys)


def test_a_first_load_into_empty_tables_brings_nobody_back_and_believes_no_cached_id(
    world: EngineWorld, target_db: str, legacy: Query, target: Query
) -> None:
    """Of a target that was lost: the cache still knows its rows, and the tables are loaded without foreign keys."""
    with_erasure(world)
    bulk = {name: one.model_copy(update={"first_load": "bulk"}) for name, one in world.catalog.entities.items()}
    world.catalog = Catalog(bulk)
    target("delete from clinics; delete from people")
    install(target_db, "only-for-tests", world.catalog)
    run(world, "first")
    erase_rows(world, (3,))
    legacy("update invoice set total = total + 1; update person set born = born + 1; update visit set note = note")
    run(world, "second")
    ours = ", ".join(f"hybrid_sync.{name}" for name in ("fence", "suppressed", "erasure", "entity_state"))
    target(f"truncate {', '.join(bulk)}, {ours}")
    with armed({}) as points:
        assert run(world, "again").outcome.status == "succeeded"
    assert points.passed["bulk.made"], "it was such a load"
    assert anywhere(target, *CANARIES) == set()
    assert target("select email from people where legacy_id = 3") == [("erased-3",)]
    assert target("select count(*) from visits where best_invoice_id is not null") == [(9,)]


def test_failed_records_of_them_are_brought_without_what_was_personal_and_natives_do_not_take_their_place(
    erasing: EngineWorld, legacy: Query, target: Query
) -> None:
    messages = erasing.catalog["messages"].model_copy(update={"adopt": Adopt(by=("body",))})
    erasing.catalog.entities["messages"] = messages
    legacy("update visit set note = 'forbidden' where id = 3; update remark set body = body")
    target("insert into messages select gen_random_uuid(), null, null, id, 'remark 3' from people where legacy_id = 5")
    run(erasing, "second")
    queued = [message for message in erasing.failure_queue.messages if message.entity == "visits"]
    assert queued
    erase_rows(erasing, (3,))
    still = "select 1 from hybrid_sync.failed_record where entity = 'visits' and key = '{3}' and status <> 'resolved'"
    assert target(still), "a run that broke off would miss the row, which stays without its personal values"
    for message in queued:
        retry_failure(erasing, message)
    assert run(erasing, "third").outcome.status == "succeeded"
    assert not target(still)
    assert target("select note from visits where legacy_id = 3") == [(None,)]
    assert target("select legacy_id from messages where body = 'remark 3'") == [(None,)]


def test_what_the_target_or_the_catalog_forbids_is_refused_whole(erasing: EngineWorld, target: Query) -> None:
    with pytest.raises(RequestRejected, match="does not say what becomes of an erased row of clinics"):
        erase_rows(erasing, (1,), place=("clinics", "clinic"))
    target("create table attachment (id int, message_id uuid references messages on delete cascade)")
    target("insert into attachment select 1, id from messages where legacy_source = 'remark' and legacy_id = 3")
    with pytest.raises(RequestRejected, match="refer to them by the constraint attachment_message_id_fkey"):
        erase_rows(erasing, (3,))
    target("drop table attachment")
    target("create function keep() returns trigger language plpgsql as 'begin new.email := old.email; return new; end'")
    target("create trigger keep before update on people for each row execute function keep()")
    with pytest.raises(RequestRejected, match="1 rows of people have other values"):
        erase_rows(erasing, (3,))
    assert anywhere(target, "remark 3") == {("remark 3", "public.messages")}, "nothing was erased"
    assert not target("select 1 from hybrid_sync.erasure")
    assert not erasing.erasures.kept

"""The reconcile finds what no fence can see, names it by key and column, and heals what comes from legacy."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from hybrid_sync.errors import EntityIncomplete
from hybrid_sync_cli.flow.execution import Delivery
from tests.engine.conftest import Query
from tests.engine.small import small_world
from tests.engine.worlds import EngineWorld, execution, functions_of, run
from tests.flow.conduct import conduct, died


def result(target: Query, run_id: str, entity: str) -> dict[str, Any]:
    found: dict[str, Any] = target(
        "select reconcile from hybrid_sync.run_entity where run_id = %s and entity = %s", run_id, entity
    )[0][0]
    return found


def differences(target: Query, run_id: str) -> list[tuple[Any, ...]]:
    return target(
        "select entity, source, key, kind, columns, origin, state from hybrid_sync.difference"
        " where run_id = %s order by entity, source, key",
        run_id,
    )


def test_equal_sides_have_no_difference_whatever_their_types(world: EngineWorld, target: Query) -> None:
    done = run(world, "first")
    assert done.outcome.status == "succeeded"
    assert differences(target, "first") == []
    checked = {
        entity: (found["rows_checked"], found["differing"], found["persisted"])
        for entity, found in target("select entity, reconcile from hybrid_sync.run_entity")
    }
    assert checked == {
        "clinics": (2, 0, 0), "people": (12, 0, 0), "visits": (9, 0, 0), "invoices": (9, 0, 0),
        "messages": (10, 0, 0), "grants": (12, 0, 0),
    }  # fmt: skip


def test_a_native_change_is_named_by_key_and_column_and_left_alone(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    target("update people set email = 'changed@example.org', born = null where legacy_id = 3")
    done = run(world, "second")
    assert differences(target, "second") == [
        ("people", "person", [3], "changed", ["email", "born"], "target", "confirmed")
    ]
    assert target("select email from people where legacy_id = 3") == [("changed@example.org",)]
    assert (result(target, "second", "people")["drift"], done.outcome.status) == (1, "succeeded")


def test_a_native_change_whose_transaction_has_the_number_of_an_old_one_of_ours_is_left_alone(
    world: EngineWorld, target: Query
) -> None:
    """Records of what we wrote are kept for years, and the 32 bits by which they name a transaction come again."""
    run(world, "first")
    target("update people set email = 'changed@example.org' where legacy_id = 3")
    target(
        "insert into hybrid_sync.batch_done (batch_id, run_id, entity, source, lo, hi, xids, done_at)"
        " select gen_random_uuid(), 'first', 'people', 'person', 0, 1, array[xmin], now() - interval '2 years'"
        " from people where legacy_id = 3"
    )
    run(world, "second")
    assert [found[-2:] for found in differences(target, "second")] == [("target", "confirmed")]
    assert target("select email from people where legacy_id = 3") == [("changed@example.org",)]


def test_a_repair_undoes_native_changes_and_keeps_what_is_not_mapped(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    target("update people set email = 'changed@example.org', internal_note = 'keep' where legacy_id = 3")
    run(world, "second")
    done = run(world, "third", profile="verify", repair=True)
    assert done.outcome.status == "succeeded"
    assert target("select email, internal_note from people where legacy_id = 3") == [("person3@example.org", "keep")]
    assert [d[-1] for d in differences(target, "third")] == ["healed"]


def test_an_edit_that_no_transaction_id_shows_is_found_and_healed_in_the_same_run(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    legacy("delete from clinic where id = 2")  # the joined row is gone; the invoices' own rows are as they were
    done = run(world, "second")
    found = differences(target, "second")
    assert {(d[0], d[3], *d[4], *d[5:]) for d in found} == {("invoices", "changed", "currency", "legacy", "healed")}
    told = result(target, "second", "invoices")
    assert (told["silent"], told["fence_missed"], told["healed"], told["persisted"]) == (len(found), 0, len(found), 0)
    assert done.total("invoices")["healed"] == len(found) > 0
    assert done.outcome.status == "succeeded"


def test_a_failed_record_whose_row_came_right_where_no_fence_looks_is_resolved_by_the_weekly_run(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("update person set settings = 'not json' where id = 4")
    run(world, "first")
    legacy("update person set settings = '{}' where id = 4")
    # As if the good version were an old one again, as after a snapshot of the disk was brought back.
    run(world, "clinics", profile="daily", entities=("clinics",))
    target(
        "update hybrid_sync.fence f set fence = c.fence from hybrid_sync.fence c"
        " where f.entity = 'people' and c.entity = 'clinics'"
    )
    status = "select status from hybrid_sync.failed_record where entity = 'people' and reason = 'bad_json'"
    run(world, "daily", profile="daily")
    assert target(status) == [("open",)]
    run(world, "weekly")
    assert target(status) == [("resolved",)]
    assert target("select settings from people where legacy_id = 4") == [({},)]


def test_what_the_fence_should_have_found_is_a_number_of_its_own(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    legacy("update remark set body = 'edited' where id = 3")
    world.manifests.write_once("second", "messages", [])  # a plan that overlooks the change
    done = run(world, "second")
    told = result(target, "second", "messages")
    assert (told["fence_missed"], told["silent"], told["drift"], told["healed"]) == (1, 0, 0, 1)
    assert target("select body from messages where legacy_source = 'remark' and legacy_id = 3") == [("edited",)]
    assert done.outcome.status == "succeeded"


def test_a_row_lost_in_the_target_comes_back_with_its_old_id(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    before = target("select id from messages where legacy_source = 'letter' and legacy_id = 2")
    target("delete from messages where legacy_source = 'letter' and legacy_id = 2")
    done = run(world, "second")
    assert differences(target, "second") == [("messages", "letter", [2], "missing", [], "target", "healed")]
    assert target("select id from messages where legacy_source = 'letter' and legacy_id = 2") == before
    assert done.outcome.status == "succeeded"


def test_keys_gone_from_legacy_and_excluded_ones_are_handed_to_the_delete_step(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    legacy("delete from remark where id = 2")
    legacy("update invoice set paid = false where id = 1")
    run(world, "second")
    candidates = target("select entity, source, key, why from hybrid_sync.delete_candidate where run_id = 'second'")
    assert sorted(candidates) == [("invoices", "invoice", [1], "excluded"), ("messages", "remark", [2], "gone")]
    assert differences(target, "second") == []


def test_a_reference_to_another_row_is_named_and_one_to_a_native_row_too(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    target("update people set clinic_id = (select id from clinics where legacy_id = 2) where legacy_id = 2")
    target("update people set clinic_id = '00000000-0000-4000-8000-0000000000aa' where legacy_id = 3")
    target("update visits set best_invoice_id = null where legacy_id = 5")
    run(world, "second")
    assert [(d[0], d[2], d[4]) for d in differences(target, "second")] == [
        ("people", [2], ["clinic_id"]), ("people", [3], ["clinic_id"]), ("visits", [5], ["best_invoice_id"]),
    ]  # fmt: skip


def test_equal_values_in_another_form_are_no_difference(world: EngineWorld, target: Query, legacy: Query) -> None:
    legacy('update person set settings = \'{"b": 1, "a": [1.50, null]}\' where id = 1')
    run(world, "first")
    target('update people set settings = \'{"a": [1.50, null], "b": 1}\' where legacy_id = 1')
    target("update invoices set total = total::text::numeric where legacy_id = 1")
    run(world, "second")
    assert differences(target, "second") == []


def test_a_number_of_another_scale_inside_json_is_a_difference_as_it_is_for_the_write(
    world: EngineWorld, target: Query
) -> None:
    run(world, "first")
    target("update people set settings = '{\"n\": 1.0}' where legacy_id = 1")
    run(world, "second")
    assert [d[4] for d in differences(target, "second")] == [["settings"]]
    assert run(world, "third", profile="verify", repair=True).total("people")["updated"] == 1


def test_a_failed_record_that_got_lost_is_recorded_again_though_legacy_cannot_compute_the_row(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("update person set settings = 'not json' where id in (4, 7)")
    legacy("update person set kind = 9 where id = 5")
    run(world, "first")
    target("delete from hybrid_sync.failed_record where entity = 'people' and key in ('{4}', '{5}')")
    run(world, "second", entities=("people",))
    found = target(
        "select key, reason from hybrid_sync.failed_record"
        " where entity = 'people' and status = 'open' and reason <> 'missing_parent' order by key"
    )
    assert found == [([4], "bad_json"), ([5], "unknown_enum"), ([7], "bad_json")]


def test_drift_once_told_is_not_mistaken_for_a_legacy_edit_later(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    target("update people set email = 'changed@example.org' where legacy_id = 3")
    for name in ("second", "third"):
        run(world, name)
        assert [d[5:] for d in differences(target, name)] == [("target", "confirmed")]


def test_segments_compared_side_by_side_find_the_same(world: EngineWorld, target: Query) -> None:
    world.segment_rows = 4
    run(world, "first")
    target("update people set email = 'changed@example.org' where legacy_id in (1, 12)")
    target("delete from messages where legacy_source = 'remark' and legacy_id = 6")
    done = run(world, "second")
    assert [(d[0], d[2], d[3], d[6]) for d in differences(target, "second")] == [
        ("messages", [6], "missing", "healed"), ("people", [1], "changed", "confirmed"),
        ("people", [12], "changed", "confirmed"),
    ]  # fmt: skip
    assert result(target, "second", "people")["segments"] == 4
    assert done.outcome.status == "succeeded"


def test_a_segment_that_was_not_compared_fails_the_entity(world: EngineWorld, target: Query) -> None:
    world.segment_rows = 4
    world.manifests.write_once("first", "people.segments", [])  # every comparison was lost
    done = run(world, "first", entities=("clinics", "people"))
    assert done.outcome.status == "failed"
    assert target("select entity from hybrid_sync.fence where fence is not null order by 1") == [("clinics",)]


def test_a_verify_run_reads_no_changes_and_moves_no_fence(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first")
    before = target("select entity, version from hybrid_sync.fence order by 1")
    legacy("update remark set body = 'edited' where id = 3")
    done = run(world, "check", profile="verify")
    assert done.outcome.status == "succeeded"
    assert differences(target, "check") == []
    assert result(target, "check", "messages")["in_flight"] == 1
    assert target("select entity, version from hybrid_sync.fence order by 1") == before
    assert run(world, "second").total("messages")["updated"] == 1


def test_a_verify_run_before_any_sync_says_what_to_do(world: EngineWorld, target: Query) -> None:
    assert run(world, "check", profile="verify", entities=("clinics",)).outcome.status == "failed"
    [(cause,)] = target("select cause from hybrid_sync.run_failure where state = 'ReconcileEntity'")
    assert cause == (
        "Entity clinics cannot be compared before it is carried over again (first_time). Start a weekly run."
    )


def test_a_legacy_in_use_yields_no_false_difference(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("insert into remark (person_id, body) select 1 + i % 12, 'more ' || i from generate_series(1, 3000) i")
    run(world, "first")
    stop = threading.Event()

    def write() -> None:
        with world.connect_legacy() as writer:
            step = 0
            while not stop.is_set():
                step += 1
                writer.execute("update remark set body = body || 'x' where id = %s", (step * 7 % 3000 + 1,))
                writer.execute("insert into remark (person_id, body) values (1, 'born')")
                writer.execute("delete from remark where id = (select max(id) from remark)")
                writer.execute("update person set born = born + 1 where id = %s", (step % 12 + 1,))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for n in range(4):
            run(world, f"live{n}", entities=("messages", "people"))
    finally:
        stop.set()
        writer.join()
    assert target("select run_id, entity, source, key, kind, columns from hybrid_sync.difference") == []


def test_two_ids_swapped_in_the_cache_are_found_and_the_cache_is_forgotten(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    ids = world.id_cache.ids
    one, two = ("people", "person", 0, (3,)), ("people", "person", 0, (4,))
    ids[one], ids[two] = ids[two], ids[one]
    legacy("insert into letter (person_id, body) values (3, 'for three')")  # carried with the wrong reference
    done = run(world, "second")
    assert target("select entity, source, key from hybrid_sync.wrong_id order by key") == [
        ("people", "person", [3]), ("people", "person", [4]),
    ]  # fmt: skip
    assert target("select cache_epoch from hybrid_sync.entity_state where entity = 'people'") == [(1,)]
    assert [(d[0], d[2], d[4], d[6]) for d in differences(target, "second")] == [
        ("messages", [5], ["person_id"], "healed")
    ]
    assert done.outcome.status == "succeeded"


@pytest.mark.parametrize("segment_rows", [2, 1_000])
def test_wrong_entries_of_every_segment_and_source_are_named(
    world: EngineWorld, target: Query, segment_rows: int
) -> None:
    run(world, "first")
    world.segment_rows = segment_rows
    ids = world.id_cache.ids
    for source, one, two in (("letter", 1, 2), ("remark", 1, 2), ("remark", 3, 4)):
        a, b = ("messages", source, 0, (one,)), ("messages", source, 0, (two,))
        ids[a], ids[b] = ids[b], ids[a]
    run(world, "second")
    assert target("select source, key[1] from hybrid_sync.wrong_id where entity = 'messages' order by 1, 2") == [
        ("letter", 1), ("letter", 2), ("remark", 1), ("remark", 2), ("remark", 3), ("remark", 4),
    ]  # fmt: skip
    assert target("select cache_epoch from hybrid_sync.entity_state where entity = 'messages'") == [(1,)]
    run(world, "third")
    assert target("select count(*) from hybrid_sync.wrong_id where run_id = 'third'") == [(0,)]


def test_what_a_missing_batch_has_not_written_was_not_missed_by_the_fence(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    legacy("update remark set body = 'edited' where id = 3")
    functions = functions_of(world)

    def deliver(delivery: Delivery) -> object:
        if delivery.state == "SyncBatch":
            raise died()
        return functions(delivery)

    conduct(execution(world, "second"), deliver)
    assert EntityIncomplete in {type(error) for _, error in functions.errors}
    told = result(target, "second", "messages")
    assert (told["differing"], told["fence_missed"], told["silent"]) == (1, 0, 0)


def test_a_row_that_fails_before_a_rule_excludes_it_is_recorded_again(legacy_db: str, target_db: str) -> None:
    """Its failed record got lost, and nothing of it has changed: as a count it is excluded, and all is well."""
    world = small_world(
        legacy_db, target_db,
        "create table a (id int primary key, code text); insert into a values (1, 'x'), (2, 'odd')",
        "create table a (id uuid primary key, legacy_id bigint unique, code text)",
        {
            "entity": "a", "target": "a", "sources": {
                "a": {
                    "from": "a t", "key": {"legacy_id": "t.id"}, "columns": {"code": "t.code"},
                    "rules": [{"fail": "odd", "when": "t.code = 'odd'"}, {"exclude": "second", "when": "t.id = 2"}],
                }
            },
        },
    )  # fmt: skip
    with world.connect_target() as target:
        for run_id in ("first", "second"):
            run(world, run_id)
            key = target.execute("delete from hybrid_sync.failed_record returning key").fetchall()
            assert key == [([2],)], run_id

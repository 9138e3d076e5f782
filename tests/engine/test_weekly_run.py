"""A first run carries everything over; the next ones carry exactly what changed, and lose nothing."""

from __future__ import annotations

from decimal import Decimal

from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


def test_a_first_run_brings_every_row_and_the_rows_add_up(world: EngineWorld, target: Query) -> None:
    done = run(world, "first")
    assert done.outcome.status == "succeeded"
    counts = {name: done.total(name)["read"] for name in done.batches}
    assert counts == {"clinics": 2, "people": 12, "visits": 12, "invoices": 12, "messages": 10, "grants": 12}
    conservation = dict(target("select entity, conservation->>'current' from hybrid_sync.run_entity"))
    assert conservation["invoices"] == "9"
    assert target("select count(*) from people where legacy_id is not null") == [(12,)]


def test_an_id_that_existed_before_stays_and_native_rows_and_columns_are_untouched(
    world: EngineWorld, target: Query
) -> None:
    run(world, "first")
    rows = target(
        "select id::text, name, internal_note from clinics where legacy_id = 1 or legacy_id is null order by 1"
    )
    assert rows == [
        ("00000000-0000-4000-8000-000000000001", "North", "keep me"),
        ("00000000-0000-4000-8000-0000000000aa", "Born here", "native"),
    ]


def test_deferred_references_are_linked_in_cycles_and_self_references(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    wrong_managers = target(
        "select p.legacy_id from people p left join people m on m.id = p.manager_id"
        " where p.legacy_id > 1 and m.legacy_id is distinct from p.legacy_id - 1"
    )
    assert wrong_managers == []
    linked = target("select count(*) from visits v join invoices i on i.id = v.best_invoice_id and i.visit_id = v.id")
    assert linked == [(9,)]


def test_a_reference_to_an_excluded_row_is_a_failed_record_not_a_silent_null(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    failed = target("select entity, key, reason, column_name, present from hybrid_sync.failed_record order by key")
    assert failed == [("visits", [n], "missing_parent", "best_invoice_id", True) for n in (4, 8, 12)]


def test_a_second_run_reads_exactly_what_changed_with_and_without_timestamps(world: EngineWorld, legacy: Query) -> None:
    run(world, "first")
    legacy("update remark set body = 'edited' where id = 3")
    legacy("update person set email = 'New@Example.org' where id = 5")
    legacy("insert into letter (person_id, body) values (2, 'new')")
    legacy("update grant_of set level = 2 where person_id = 2 and right_id = 3")
    done = run(world, "second")
    assert done.outcome.status == "succeeded"
    assert {e: done.total(e)["read"] for e in done.batches} == {
        "clinics": 0, "people": 1, "visits": 0, "invoices": 1, "messages": 2, "grants": 1,
    }  # fmt: skip
    assert (done.total("messages")["inserted"], done.total("messages")["updated"]) == (1, 1)
    assert done.total("invoices")["unchanged"] == 1  # read because its joined person changed, equal all the same


def test_a_run_after_which_nothing_changed_reads_nothing(world: EngineWorld) -> None:
    run(world, "first")
    done = run(world, "second")
    assert sum(done.total(e)["read"] for e in done.batches) == 0
    assert done.outcome.status == "succeeded"


def test_a_change_in_a_joined_table_reaches_the_row(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first")
    legacy("update clinic set country = 'JP' where id = 1")
    run(world, "second", profile="daily")  # no reconcile finds what the fence has missed
    assert target("select distinct currency from invoices") == [("JPY",)]


def test_a_transaction_open_across_the_run_is_seen_by_the_next(world: EngineWorld, target: Query) -> None:
    with world.connect_legacy() as late:
        late.execute("begin")
        late.execute("insert into remark (person_id, body) values (1, 'late')")
        run(world, "first")
        late.execute("commit")
    done = run(world, "second", profile="daily")
    assert done.total("messages")["inserted"] == 1
    assert target("select count(*) from messages where body = 'late'") == [(1,)]


def test_a_row_that_leaves_its_rule_is_seen_and_listed_as_a_pending_delete(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    legacy("update invoice set paid = false where id = 1")
    done = run(world, "second")
    assert done.total("invoices") | {"read": 1, "excluded": 1} == done.total("invoices")
    pending = target(
        "select conservation->>'pending_deletes' from hybrid_sync.run_entity"
        " where run_id = 'second' and entity = 'invoices'"
    )
    assert pending == [("1",)]


def test_a_hard_delete_is_counted_apart_and_the_rows_still_add_up(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    legacy("delete from remark where id = 2")
    done = run(world, "second")
    assert done.outcome.status == "succeeded"
    row = target("select conservation from hybrid_sync.run_entity where run_id = 'second' and entity = 'messages'")[0][
        0
    ]
    assert (row["pending_deletes"], row["missing"], row["ok"]) == (1, 0, True)


def test_money_is_summed_per_currency_and_equal_on_both_sides(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    lines = target("select money from hybrid_sync.run_entity where entity = 'invoices'")[0][0]
    found = {line["currency"]: (Decimal(line["current"]), Decimal(line["target"]), line["agrees"]) for line in lines}
    totals = {"USD": Decimal("180.90"), "JPY": Decimal("361.80")}
    assert found == {currency: (total, total, True) for currency, total in totals.items()}
    # What a rule excludes is legacy's money, too, and missed by nobody.
    assert all(Decimal(line["legacy"]) == Decimal(line["current"]) + Decimal(line["excluded"]) for line in lines)
    assert {Decimal(line["missing"]) for line in lines} == {Decimal(0)}


def test_money_that_differs_by_a_cent_fails_the_entity_and_keeps_its_fence(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    target("update invoices set total = total + 0.01 where legacy_id = 1")
    before = target("select version from hybrid_sync.fence where entity = 'invoices'")
    done = run(world, "second", entities=("invoices",))
    assert done.outcome.status == "failed"
    assert not done.verdicts["invoices"].conserved
    assert target("select version from hybrid_sync.fence where entity = 'invoices'") == before


def test_a_row_lost_in_the_target_fails_conservation_and_is_named(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    target("delete from messages where legacy_source = 'letter' and legacy_id = 2")
    done = run(world, "second", profile="daily", entities=("messages",))
    assert done.outcome.status == "failed"
    row = target("select conservation from hybrid_sync.run_entity where run_id = 'second'")[0][0]
    assert (row["missing"], row["missing_keys"]) == (1, [[2]])


def test_a_changed_definition_or_table_makes_the_next_run_read_everything(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    legacy("alter table remark add column mood text default 'calm'")
    run(world, "second", entities=("messages",))
    found = target("select detection, detection_reason from hybrid_sync.run_entity where run_id = 'second'")
    assert found == [("full", "definition_changed")]


def test_no_cell_value_leaves_the_databases(world: EngineWorld, legacy: Query) -> None:
    legacy(
        "insert into person (clinic_id, email, kind, settings) values (1, 'secret@example.org', 1, 'not json secret')"
    )
    run(world, "first")
    told = repr((world.alerts.published, world.failure_queue.messages, world.reports.documents, world.manifests.tasks))
    assert "secret" not in told.replace("a secret for tests", "")
    assert "example.org" not in told

"""What the demo concludes from its runs, and what it takes for harm."""

from __future__ import annotations

from typing import Any

import psycopg

from hybrid_sync.report.summary import summarise
from hybrid_sync_cli.result import is_accounted_for, read_as_changed, run_result
from hybrid_sync_cli.untouched import Touched, look, touched
from tests.report.records import CATALOG, EQUATION, add_entity, add_run, money_line

Store = psycopg.Connection[Any]


def test_a_run_keeps_its_promises_only_if_money_agrees_too(store: Store) -> None:
    add_run(store, "good")
    add_entity(store, "good", "payments", conservation=EQUATION, money=[money_line("total", "USD", "1.00")])
    add_run(store, "bad")
    money = [money_line("total", "USD", "1.00", target="1.01")]
    add_entity(store, "bad", "payments", conservation=EQUATION, money=money)

    good, bad = (run_result(summarise(store, name, CATALOG)) for name in ("good", "bad"))

    assert is_accounted_for(good)
    assert not is_accounted_for(bad)
    assert good["entities"]["payments"]["rows"]["current"] == 87


def test_reading_one_row_more_or_less_than_changed_is_no_match() -> None:
    def run(**read: int) -> dict[str, Any]:
        return {"entities": {name: {"read": count} for name, count in read.items()}}

    must_read: dict[str, dict[str, list[Any]]] = {"messages": {"comment": [1, 2], "record": [1]}}

    assert read_as_changed(run(messages=3, offices=0), must_read)["match"]
    assert not read_as_changed(run(messages=2, offices=1), must_read)["match"]
    assert not read_as_changed(run(messages=3, offices=1), must_read)["match"]
    assert not read_as_changed(run(offices=0), must_read)["match"]


def test_a_changed_id_and_a_changed_native_row_are_noticed(store: Store) -> None:
    for name in CATALOG.entities:
        store.execute(f"create table {name} (id uuid primary key, legacy_id bigint unique, note text)".encode())
    store.execute("insert into payments values (gen_random_uuid(), 1, 'x'), (gen_random_uuid(), null, 'native')")
    store.execute("insert into offices values (gen_random_uuid(), 1, 'x'), (gen_random_uuid(), null, 'native')")
    before = look(store, CATALOG)

    store.execute("insert into payments values (gen_random_uuid(), 2, 'new')")
    store.execute("update offices set note = 'synced' where legacy_id = 1")
    assert touched(before, look(store, CATALOG)) == Touched((), ())

    store.execute("update payments set id = gen_random_uuid() where legacy_id = 1")
    store.execute("update offices set note = 'changed' where legacy_id is null")
    assert touched(before, look(store, CATALOG)) == Touched(("payments",), ("offices",))


def test_a_row_that_vanished_counts_as_a_lost_id(store: Store) -> None:
    for name in CATALOG.entities:
        store.execute(f"create table {name} (id uuid primary key, legacy_id bigint unique)".encode())
    store.execute("insert into payments values (gen_random_uuid(), 1)")
    before = look(store, CATALOG)

    store.execute("delete from payments")

    assert touched(before, look(store, CATALOG)).ids == ("payments",)


def test_an_id_that_waits_for_its_key_to_return_is_not_lost(store: Store) -> None:
    for name in CATALOG.entities:
        store.execute(f"create table {name} (id uuid primary key, legacy_id bigint unique)".encode())
    store.execute("insert into payments values (gen_random_uuid(), 1)")
    before = look(store, CATALOG)

    store.execute(
        "insert into hybrid_sync.retired_id (entity, source, key, id, run_id)"
        " select 'payments', 'payment', array[legacy_id], id, 'r' from payments"
    )
    store.execute("delete from payments")

    assert touched(before, look(store, CATALOG)).ids == ()

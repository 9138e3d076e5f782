"""A row is deleted only when legacy says so under the lock, few go at once, and nobody else's child goes with it."""

from __future__ import annotations

import threading

import psycopg

from hybrid_sync.catalog.models import OnDelete
from hybrid_sync.failpoints import armed
from tests.engine.conftest import Query
from tests.engine.policies import HARD, everything_hard, kept, told, with_policies
from tests.engine.worlds import EngineWorld, run

LETTER = "select count(*) from messages where legacy_source = 'letter' and legacy_id = 2"
COMES_BACK = "insert into letter (id, person_id, body) values (2, 2, 'letter 2')"


def test_a_key_that_comes_back_after_it_was_listed_is_not_deleted(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    class ComeBack:
        def fire(self, name: str, connections: object) -> None:
            legacy(COMES_BACK)

    with_policies(world, messages=HARD)
    run(world, "first", profile="daily")
    legacy("delete from letter where id = 2")
    with armed({"delete.locked": ComeBack()}):
        run(world, "second", profile="daily", entities=("messages",))
    assert target(LETTER) == [(1,)]
    assert (told(target, "second", "messages")["back"], told(target, "second", "messages")["deleted"]) == (1, 0)


def test_a_key_that_comes_back_while_another_writer_holds_its_bucket_is_not_deleted(
    world: EngineWorld, legacy: Query, target: Query, target_db: str
) -> None:
    with_policies(world, messages=HARD)
    run(world, "first", profile="daily")
    legacy("delete from letter where id = 2")
    with psycopg.connect(target_db) as other:
        other.execute("select * from hybrid_sync.bucket where entity = 'messages' and source = 'letter' for update")
        running = threading.Thread(
            target=run, args=(world, "second"), kwargs={"profile": "daily", "entities": ("messages",)}
        )
        running.start()
        waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        while target(waits) == [(0,)]:
            assert running.is_alive(), "the delete did not wait for the bucket lock"
        legacy(COMES_BACK)
        other.commit()
        running.join()
    assert target(LETTER) == [(1,)]


def test_an_emptied_legacy_table_does_not_empty_the_target(world: EngineWorld, legacy: Query, target: Query) -> None:
    with_policies(world, messages=OnDelete(policy="hard", floor=3))
    run(world, "first", profile="daily")
    legacy("delete from letter")
    done = run(world, "second", profile="daily", entities=("messages",))
    assert target("select count(*) from messages where legacy_source = 'letter'") == [(4,)]
    assert told(target, "second", "messages")["guarded"] == 4
    assert not done.verdicts["messages"].fence_advanced


def test_a_row_with_native_children_stays_whatever_the_foreign_key_would_do(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    everything_hard(world)
    target("create table attachments (id int primary key, visit uuid references visits on delete cascade)")
    run(world, "first", profile="daily")
    target("insert into attachments select 1, id from visits where legacy_id = 12")
    legacy("update visit set best_invoice_id = null; delete from invoice where visit_id = 12")
    legacy("delete from visit where id = 12")
    run(world, "second", profile="daily")
    assert target("select count(*) from attachments") == [(1,)]
    assert ("visits", [12], "native_children") in kept(target, "second")


def test_a_deleted_key_that_returns_has_its_uuid_whatever_the_secret_is_by_then(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    with_policies(world, messages=HARD)
    run(world, "first", profile="daily")
    before = target("select id from messages where legacy_source = 'letter' and legacy_id = 2")
    legacy("delete from letter where id = 2")
    run(world, "second", profile="daily")
    assert target(LETTER) == [(0,)]
    world.id_secret = b"another secret"
    legacy(COMES_BACK)
    run(world, "third", profile="daily")
    assert target("select id from messages where legacy_source = 'letter' and legacy_id = 2") == before

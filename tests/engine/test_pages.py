"""A batch is a sequence of pages, bounded in rows and in bytes: each there once or not at all, and none forgotten."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import BatchTask, EntityTask, Key, RollbackTask, RunRequest
from hybrid_sync.errors import EntityIncomplete
from hybrid_sync.failpoints import FailpointRaised, Raise, armed
from hybrid_sync.ids.idmap import ids_in_target
from hybrid_sync.legacy.cut import PAGE_BYTES
from hybrid_sync.postgres import transaction
from hybrid_sync.schema.install import install
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync.steps.sync_batch import sync_batch
from hybrid_sync.steps.verify_entity import verify_entity
from tests.engine.worlds import EngineWorld, MemoryIdCache, run

_LEGACY = """
create table member (grp int, usr int, level text, primary key (grp, usr));
create table doc (id int primary key, body text, kind text);
create table label (doc_id int, name text);
"""
_TARGET = """
create table members (id uuid primary key, legacy_grp bigint, legacy_usr bigint, level int,
  unique (legacy_grp, legacy_usr));
create table docs (id uuid primary key, legacy_id bigint unique, body text check (body <> 'refused'), label text);
"""
_CATALOG = Catalog(
    {
        "members": Entity.model_validate(
            {
                "entity": "members", "target": "members", "on_delete": {"policy": "hard"},
                "sources": {
                    "member": {
                        "from": "member m", "key": {"legacy_grp": "m.grp", "legacy_usr": "m.usr"},
                        "columns": {"level": {"sql": "m.level::int"}},
                    }
                },
            }
        ),
        "docs": Entity.model_validate(
            {
                "entity": "docs", "target": "docs",
                "sources": {
                    "doc": {
                        "from": "doc d", "key": {"legacy_id": "d.id"},
                        "joins": ["left join label l on l.doc_id = d.id"],
                        "columns": {"body": "d.body", "label": "l.name"},
                    }
                },
            }
        ),
    }
)  # fmt: skip


@pytest.fixture
def paged(legacy_db: str, target_db: str) -> EngineWorld:
    """A composite key whose first part repeats, and documents of any size; both tables empty."""
    for dsn, statements in ((legacy_db, _LEGACY), (target_db, _TARGET)):
        ask(dsn, statements)
    return EngineWorld(_CATALOG, legacy_db, install(target_db, "only-for-tests", _CATALOG))


def ask(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    """As the database's owner, committed at once."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def planned(world: EngineWorld, run_id: str, entity: str, **request: Any) -> list[BatchTask]:
    plan_run(world, RunRequest(run_id=run_id, entities=(entity,), **request))
    plan_entity(world, EntityTask(run_id=run_id, entity=entity))
    return world.manifests.read(run_id, entity) or []


_READ = "select (result->>'read')::int from hybrid_sync.batch_done order by page"
_SKEWED = "insert into member select 1 + i % 3, i, i from generate_series(1, 90) i"


# --- bounds --------------------------------------------------------------------------------------------------------


def test_a_key_whose_first_part_repeats_is_carried_in_pages_of_so_many_rows(paged: EngineWorld, target_db: str) -> None:
    ask(paged.legacy_dsn, _SKEWED)
    done = run(paged, "first", entities=("members",), batch_size=20)
    assert done.outcome.status == "succeeded"
    assert len(paged.manifests.tasks["first", "members"]) == 1, "it is one bucket"
    assert ask(target_db, _READ) == [(20,), (20,), (20,), (20,), (10,)]
    assert done.total("members")["inserted"] == 90
    assert ask(target_db, "select count(*), sum(legacy_usr), sum(level) from members") == [(90, 4095, 4095)]


def test_pages_of_a_first_load_have_twice_as_many_rows_as_later_ones(paged: EngineWorld, target_db: str) -> None:
    ask(paged.legacy_dsn, "insert into doc select i, 'small' from generate_series(0, 9999) i")
    assert run(paged, "first", entities=("docs",)).outcome.status == "succeeded"
    assert ask(target_db, _READ) == [(10_000,)], "5,000 are usual here"
    ask(paged.legacy_dsn, "update doc set body = 'other' where id < 4")
    [later] = planned(paged, "later", "docs")
    assert later.page_rows == 5_000


def test_a_batch_that_fills_its_last_page_has_no_empty_one_behind_it(paged: EngineWorld, target_db: str) -> None:
    ask(paged.legacy_dsn, _SKEWED)
    run(paged, "first", entities=("members",), batch_size=45)
    assert ask(target_db, _READ) == [(45,), (45,)]


def test_a_range_that_has_grown_since_it_was_planned_is_still_bounded(paged: EngineWorld, target_db: str) -> None:
    ask(paged.legacy_dsn, "insert into doc select i, 'small' from generate_series(1, 10) i")
    [batch] = planned(paged, "r", "docs", batch_size=10)
    ask(paged.legacy_dsn, "insert into doc select i, 'small' from generate_series(11, 34) i")
    assert sync_batch(paged, batch).inserted == 34
    assert ask(target_db, _READ) == [(10,), (10,), (10,), (4,)]


def test_a_page_holds_no_more_bytes_than_promised(paged: EngineWorld, target_db: str) -> None:
    million = 1_000_000
    ask(paged.legacy_dsn, f"insert into doc select i, repeat('x', 3 * {million}) from generate_series(1, 12) i")
    done = run(paged, "first", entities=("docs",))
    assert done.outcome.status == "succeeded"
    per_page = PAGE_BYTES // (3 * million)
    assert ask(target_db, _READ) == [(per_page,), (per_page,), (12 - 2 * per_page,)]
    assert ask(target_db, "select count(*), sum(length(body)) from docs") == [(12, 36 * million)]


def test_a_row_larger_than_a_page_is_a_page_by_itself(paged: EngineWorld, target_db: str) -> None:
    sizes = "(1, 10), (2, 20000000), (3, 10), (4, 10)"
    ask(paged.legacy_dsn, f"insert into doc select i, repeat('x', n) from (values {sizes}) v (i, n)")
    run(paged, "first", entities=("docs",))
    read = [count for (count,) in ask(target_db, _READ)]
    assert sum(read) == 4
    assert read[:2] == [1, 1]
    assert ask(target_db, "select legacy_id, length(body) from docs order by 1") == [
        (1, 10), (2, 20_000_000), (3, 10), (4, 10),
    ]  # fmt: skip


def test_all_versions_of_a_key_are_read_in_one_page(paged: EngineWorld, target_db: str) -> None:
    """A page that ended between two versions would take the first for the only one."""
    ask(paged.legacy_dsn, "insert into doc select i, 'small' from generate_series(1, 6) i")
    ask(paged.legacy_dsn, "insert into label select 2, 'label ' || i from generate_series(1, 5) i")
    run(paged, "first", entities=("docs",), batch_size=2)
    assert ask(target_db, "select array_agg(legacy_id order by legacy_id) from docs") == [([1, 3, 4, 5, 6],)]
    assert ask(target_db, "select key, reason from hybrid_sync.failed_record") == [([2], "duplicate_key")]


def test_negative_and_extreme_parts_of_a_key_are_in_order(paged: EngineWorld, target_db: str) -> None:
    least, most = -(2**31), 2**31 - 1
    parts = (least, -1, 0, 1, most)
    rows = ", ".join(f"({grp}, {usr}, '0')" for grp in (-1, 0) for usr in parts)
    ask(paged.legacy_dsn, f"insert into member values {rows}")
    done = run(paged, "first", entities=("members",), batch_size=2)
    assert done.outcome.status == "succeeded"
    assert ask(target_db, "select count(*), count(distinct (legacy_grp, legacy_usr)) from members") == [(10, 10)]


def test_large_rows_are_shared_out_over_batches(paged: EngineWorld) -> None:
    """Told by their length, which needs no reading; so that many workers have some of them and none has gigabytes."""
    ask(paged.legacy_dsn, "insert into doc select i * 500, repeat('x', 10000000) from generate_series(1, 13) i")
    batches = planned(paged, "r", "docs")
    assert [len(range(b.lo, b.hi)) for b in batches] == [6, 6, 1]


# --- bad rows ------------------------------------------------------------------------------------------------------


def test_rows_that_legacy_cannot_compute_are_isolated_page_by_page(paged: EngineWorld, target_db: str) -> None:
    ask(paged.legacy_dsn, _SKEWED)
    ask(paged.legacy_dsn, "update member set level = 'bad' where usr in (1, 30, 31, 60, 90)")
    run(paged, "first", entities=("members",), batch_size=20)
    assert max(ask(target_db, _READ)) == (20,)
    assert ask(target_db, "select sum((result->>'read')::int) from hybrid_sync.batch_done") == [(90,)]
    assert ask(target_db, "select count(*) from members") == [(85,)]
    failed = ask(target_db, "select key[2], reason from hybrid_sync.failed_record order by key[2]")
    assert failed == [(usr, "expression_failed") for usr in (1, 30, 31, 60, 90)]


def test_failed_records_of_every_page_are_resolved_when_their_rows_arrive(paged: EngineWorld, target_db: str) -> None:
    ask(paged.legacy_dsn, _SKEWED)
    ask(paged.legacy_dsn, "update member set level = 'bad' where usr % 9 = 0")
    run(paged, "first", entities=("members",), batch_size=20)
    ask(paged.legacy_dsn, "update member set level = '7' where usr % 9 = 0; delete from member where usr = 90")
    second = run(paged, "second", entities=("members",), batch_size=3)
    assert second.outcome.status == "succeeded"
    assert ask(target_db, "select count(*) from hybrid_sync.failed_record where status <> 'resolved'") == [(0,)]
    assert ask(target_db, "select count(*) from members") == [(89,)]
    assert max(ask(target_db, _READ.replace("order", "where run_id = 'second' order"))) <= (3,)


def test_rows_that_the_reconcile_heals_are_bounded_too(paged: EngineWorld, target_db: str) -> None:
    ask(paged.legacy_dsn, "insert into member select 1, i, i from generate_series(1, 2500) i")
    run(paged, "first", entities=("members",))
    ask(target_db, "delete from members where legacy_usr > 1")
    done = run(paged, "second", profile="weekly", entities=("members",))
    assert done.outcome.status == "succeeded"
    pages = ask(target_db, "select (result->>'healed')::int from hybrid_sync.batch_done where run_id = 'second'")
    assert sorted(pages, reverse=True) == [(1000,), (1000,), (499,)]
    assert ask(target_db, "select count(*) from members") == [(2500,)]


def test_a_row_whose_before_image_the_journal_cannot_hold_is_named(paged: EngineWorld, target_db: str) -> None:
    ask(paged.legacy_dsn, "insert into doc select i, 'old' from generate_series(1, 3) i")
    run(paged, "first", profile="daily", entities=("docs",))
    ask(target_db, "update docs set body = repeat('x', 270000000) where legacy_id = 2")
    ask(paged.legacy_dsn, "update doc set body = 'new'")
    run(paged, "second", profile="daily", entities=("docs",))
    assert ask(target_db, "select key, reason, present from hybrid_sync.failed_record") == [
        ([2], "row_too_large", True)
    ]
    assert ask(target_db, "select legacy_id, length(body) from docs order by 1") == [(1, 3), (2, 270_000_000), (3, 3)]


# --- deliveries ------------------------------------------------------------------------------------------------------

_ONCE = (
    "select count(*), count(distinct k) from hybrid_sync.journal j, unnest(j.keys) with ordinality as u (k, n)"
    " where operation = 'insert' and n % 2 = 0"
)


@pytest.mark.parametrize(
    "places",
    [
        ("batch.before_commit",),
        ("batch.committed",),
        ("batch.cached",),
        ("batch.committed", "batch.queue_sent"),  # what is queued is asked anew where the first delivery had crashed
    ],
)
def test_a_crash_around_a_page_loses_no_row_and_writes_none_twice(
    paged: EngineWorld, target_db: str, places: tuple[str, ...]
) -> None:
    ask(paged.legacy_dsn, _SKEWED)
    [batch] = planned(paged, "r", "members", batch_size=20)
    for place in places:
        with armed({place: Raise()}), pytest.raises(FailpointRaised):
            sync_batch(paged, batch)
    result = sync_batch(paged, batch)
    assert result.read == result.inserted == 90
    assert ask(target_db, "select count(*), sum(level) from members") == [(90, 4095)]
    assert ask(target_db, _ONCE) == [(90, 90)]


class CrashingCache(MemoryIdCache):
    """Crashes at the end of every page that has written."""

    def put(self, entity: str, source: str, epoch: int, ids: Mapping[Key, bytes]) -> None:
        raise FailpointRaised("the cache")


def test_a_batch_goes_on_behind_its_last_page_whichever_that_was(paged: EngineWorld, target_db: str) -> None:
    ask(paged.legacy_dsn, _SKEWED)
    [batch] = planned(paged, "r", "members", batch_size=20)
    paged.id_cache = CrashingCache()
    for pages in (1, 2, 3, 4):
        with pytest.raises(FailpointRaised):
            sync_batch(paged, batch)
        assert ask(target_db, "select count(*) from hybrid_sync.batch_done") == [(pages,)]
        ask(paged.legacy_dsn, "update member set level = level where grp = 1")
    paged.id_cache = MemoryIdCache()
    result = sync_batch(paged, batch)
    assert result.read == result.inserted == 90
    assert ask(target_db, "select count(*), sum(level) from members") == [(90, 4095)]
    assert ask(target_db, _ONCE) == [(90, 90)]


def test_a_batch_whose_last_page_is_missing_is_not_complete(paged: EngineWorld, target_db: str) -> None:
    ask(paged.legacy_dsn, _SKEWED)
    [batch] = planned(paged, "r", "members", batch_size=20)
    with armed({"batch.cached": Raise()}), pytest.raises(FailpointRaised):
        sync_batch(paged, batch)
    assert ask(target_db, "select count(*) from members") == [(20,)]
    task = EntityTask(run_id="r", entity="members")
    with pytest.raises(EntityIncomplete):
        verify_entity(paged, task)
    sync_batch(paged, batch)
    assert verify_entity(paged, task).fence_advanced


def test_a_repeated_delivery_returns_the_sum_of_all_pages(paged: EngineWorld, target_db: str) -> None:
    ask(paged.legacy_dsn, _SKEWED)
    [batch] = planned(paged, "r", "members", batch_size=20)
    first = sync_batch(paged, batch)
    written = ask(target_db, "select xmin::text, id from members order by id")
    assert sync_batch(paged, batch) == first
    assert ask(target_db, "select xmin::text, id from members order by id") == written
    assert ask(target_db, "select count(*) from hybrid_sync.batch_done") == [(5,)]


def test_deliveries_side_by_side_agree_on_every_page(paged: EngineWorld, target_db: str) -> None:
    ask(paged.legacy_dsn, _SKEWED)
    [batch] = planned(paged, "r", "members", batch_size=7)
    results = []
    threads = [threading.Thread(target=lambda: results.append(sync_batch(paged, batch))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.inserted for result in results] == [90, 90, 90]
    assert ask(target_db, _ONCE) == [(90, 90)]
    assert ask(target_db, "select count(*) from hybrid_sync.batch_done") == [(13,)]


def test_every_page_of_a_batch_can_be_undone(paged: EngineWorld, target_db: str) -> None:
    ask(paged.legacy_dsn, _SKEWED)
    run(paged, "first", entities=("members",))
    ask(paged.legacy_dsn, "update member set level = '5'; insert into member values (2, 500, '1'), (9, 1, '1')")
    run(paged, "second", entities=("members",), batch_size=20)
    assert ask(target_db, "select count(*), sum(level) from members") == [(92, 452)]
    assert not rollback_run(paged, RollbackTask(run_id="second")).more
    assert ask(target_db, "select count(*), sum(level) from members") == [(90, 4095)]


@pytest.mark.parametrize("fires", [False, True])
def test_rows_between_older_ones_are_journalled_alone(paged: EngineWorld, target_db: str, fires: bool) -> None:
    if fires:  # then new rows are staged and not copied
        ask(target_db, "create function f() returns trigger language plpgsql as 'begin return new; end'")
        ask(target_db, "create trigger t before insert on docs for each row execute function f()")
    ask(paged.legacy_dsn, "insert into doc select i, 'older' from generate_series(2, 60, 2) i")
    run(paged, "first", entities=("docs",))
    ask(paged.legacy_dsn, "insert into doc select i, 'newer' from generate_series(1, 61, 2) i")
    run(paged, "second", entities=("docs",))
    journalled = "select run_id, keys from hybrid_sync.journal where operation = 'insert' order by seq"
    assert ask(target_db, journalled) == [("first", list(range(2, 61, 2))), ("second", list(range(1, 62, 2)))]
    assert not rollback_run(paged, RollbackTask(run_id="second")).more
    assert ask(target_db, "select legacy_id from docs order by 1") == [(i,) for i in range(2, 61, 2)]


def test_of_a_range_that_is_asked_for_only_the_wanted_keys_are_answered(paged: EngineWorld) -> None:
    ask(paged.legacy_dsn, "insert into doc select i, 'there' from generate_series(1, 60) i")
    run(paged, "first", entities=("docs",))
    wanted: list[Key] = [(i,) for i in range(1, 61, 2)]
    with paged.connect_target() as target, transaction(target, "target"):
        found = ids_in_target(target, paged.catalog, "docs", "doc", wanted)
    assert sorted(found) == wanted

"""Rows that have no key and rows that share one cost themselves, are counted as rows, and are found by every run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from hybrid_sync.catalog.load import load
from hybrid_sync.compare.scope import Scope
from hybrid_sync.compare.stretches import STRETCH, bit_of, stretch_of, within
from hybrid_sync.contracts import EntityTask, RunRequest
from hybrid_sync.keys import HIGHEST, LOWEST, among, between, bucket_of, make_room, offset_in_bucket, span
from hybrid_sync.rounds import alone
from hybrid_sync.schema.install import install
from hybrid_sync.schema.key_proof import proof_in_rounds
from hybrid_sync.schema.plans import compile_entity
from hybrid_sync.schema.target_structure import table
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.sync_batch import sync_batch
from hybrid_sync.steps.sync_keys import MOST_KEYS
from hybrid_sync.steps.verify_entity import verify_entity
from tests.engine.worlds import EngineWorld, run

CATALOG = """
entity: a
target: a
sources:
  a:
    from: a z
    key: { legacy_id: z.id }
    columns: { name: z.name, amt: z.amt }
money: [ { column: amt, constant_currency: USD, headline: true } ]
on_delete: { policy: soft, set: { gone: "true" } }
"""
COMPOSITE = CATALOG.replace("legacy_id: z.id", "legacy_id: z.id, legacy_part: z.part")
LEGACY = "create table a (id bigint, part int default 1, name text, amt numeric(12,2))"
TARGET = (
    "create table a (id uuid primary key, legacy_id bigint, legacy_part int, name text, amt numeric(12,2), gone bool)"
)
UNIQUE = "alter table a add unique (legacy_id)"
BOTH = "alter table a add unique (legacy_id, legacy_part)"


class Small:
    """One table on either side, and what people say to the two databases."""

    def __init__(self, legacy: str, target: str, folder: Path, catalog: str, unique: str) -> None:
        self._legacy, self._target = legacy, target
        (folder / "a.yaml").write_text(catalog)
        self.legacy(LEGACY)
        self.target(TARGET)
        self.target(unique)
        loaded = load(folder)
        self.world = EngineWorld(loaded, legacy, install(target, "only-for-tests", loaded))

    def legacy(self, query: str) -> list[tuple[Any, ...]]:
        return _run(self._legacy, query)

    def target(self, query: str) -> list[tuple[Any, ...]]:
        return _run(self._target, query)

    def failed(self) -> list[tuple[Any, ...]]:
        return self.target(
            "select key, reason, rows, present from hybrid_sync.failed_record where status <> 'resolved' order by key"
        )

    def told(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.target(
            f"select conservation from hybrid_sync.run_entity where run_id = '{run_id}'"
        )[0][0]
        return found

    def money(self, run_id: str) -> dict[str, Any]:
        line: dict[str, Any] = self.target(f"select money from hybrid_sync.run_entity where run_id = '{run_id}'")[0][0][
            0
        ]
        return line


def _run(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


Make = Callable[..., Small]


@pytest.fixture
def make(legacy_db: str, target_db: str, tmp_path: Path) -> Make:
    def small(catalog: str = CATALOG, unique: str = UNIQUE) -> Small:
        return Small(legacy_db, target_db, tmp_path, catalog, unique)

    return small


KEYS = [(CATALOG, UNIQUE, "1", [1]), (COMPOSITE, BOTH, "1, 7", [1, 7])]


# --- rows without a key --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("catalog", "unique"), [(CATALOG, UNIQUE), (COMPOSITE, BOTH)])
def test_rows_without_a_complete_key_are_one_record_that_ends_when_they_do(
    make: Make, catalog: str, unique: str
) -> None:
    small = make(catalog, unique)
    last = "3" if unique == BOTH else "null"
    small.legacy(f"insert into a values (1, 1, 'x', 5), (null, 1, 'y', 7), ({last}, null, 'z', 9)")
    done = run(small.world, "first")
    assert done.verdicts["a"].conserved
    assert small.failed() == [([], "null_key", 2, False)]
    assert {name: small.told("first")[name] for name in ("legacy", "current", "absent", "null_keys")} == {
        "legacy": 3, "current": 1, "absent": 2, "null_keys": 2
    }  # fmt: skip
    line = small.money("first")
    assert (line["legacy"], line["absent"], line["absent_rows"], line["agrees"]) == ("21.00", "16.00", 2, False)
    assert small.world.failure_queue.messages == []
    small.legacy("delete from a where name = 'z'")
    run(small.world, "second", profile="daily")
    assert small.failed() == [([], "null_key", 1, False)]
    small.legacy("update a set id = 2 where name = 'y'")
    run(small.world, "third", profile="daily")
    assert small.failed() == []
    assert small.target("select legacy_id, name from a order by 1") == [(1, "x"), (2, "y")]


@pytest.mark.parametrize("rows", [1, MOST_KEYS + 1])
def test_a_request_for_some_rows_says_nothing_of_rows_without_a_key(make: Make, rows: int) -> None:
    small = make()
    small.legacy(f"insert into a select n, 1, 'x', 5 from generate_series(1, {rows}) n")
    small.legacy("insert into a values (null, 1, 'y', 7)")
    run(small.world, "first")
    small.legacy("insert into a values (null, 1, 'z', 1); update a set name = 'x2' where id = 1")
    refs = [{"entity": "a", "legacy_id": n + 1} for n in range(rows)]  # by one function, or by the whole flow
    run(small.world, "second", profile="on_demand", refs=refs)
    assert small.failed() == [([], "null_key", 1, False)]
    assert small.target("select name from a where legacy_id = 1") == [("x2",)]


# --- rows that share a key -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("catalog", "unique", "key", "told"), KEYS)
def test_verification_alone_finds_the_unchanged_twin(
    make: Make, catalog: str, unique: str, key: str, told: list[int]
) -> None:
    small = make(catalog, unique)
    part = key.partition(", ")[2] or "7"
    small.legacy(f"insert into a values (1, {part}, 'first', 5), (1, {part}, 'second', 7), (2, 1, 'x', 1)")
    run(small.world, "first")
    assert small.failed() == [(told, "duplicate_key", 2, False)]
    # As if a run of an older release had written one of them and resolved its record.
    small.target("delete from hybrid_sync.failed_record")
    small.target(
        "insert into a (id, legacy_id, legacy_part, name, amt)"
        f" values (gen_random_uuid(), 1, {part if len(told) == 2 else 'null'}, 'first', 5)"
    )
    done = run(small.world, "second", profile="daily")
    assert done.verdicts["a"].conserved
    assert small.failed() == [(told, "duplicate_key", 2, True)]
    told_rows = small.told("second")
    assert (told_rows["legacy"], told_rows["current"], told_rows["stale"], told_rows["missing"]) == (3, 1, 2, 0)
    line = small.money("second")
    assert (line["legacy"], line["current"], line["stale"], line["target"]) == ("13.00", "1.00", "12.00", "6.00")
    assert (line["equal"], line["agrees"], line["missing"]) == (True, False, "7.00")


@pytest.mark.parametrize(("catalog", "unique", "key", "told"), KEYS)
def test_a_changed_row_never_wins_over_its_unchanged_twin_and_its_record_stays(
    make: Make, catalog: str, unique: str, key: str, told: list[int]
) -> None:
    small = make(catalog, unique)
    part = key.partition(", ")[2] or "7"
    small.legacy(f"insert into a values (1, {part}, 'first', 5), (2, 1, 'x', 1)")
    run(small.world, "first")
    small.legacy(f"insert into a values (1, {part}, 'second', 7)")
    done = run(small.world, "second", profile="daily")
    assert done.total("a")["failed"] == 1
    assert small.failed() == [(told, "duplicate_key", 2, True)]
    assert small.target("select name, amt::text from a order by 1") == [("first", "5.00"), ("x", "1.00")]
    small.legacy("delete from a where name = 'first'")
    run(small.world, "third", profile="daily")
    assert small.failed() == []
    assert small.target("select name from a order by 1") == [("second",), ("x",)]


def test_a_twin_that_comes_after_the_fence_makes_its_key_in_flight_and_not_missing(make: Make) -> None:
    small = make()
    small.legacy("insert into a values (1, 1, 'first', 5), (2, 1, 'x', 1)")
    task = EntityTask(run_id="first", entity="a")
    plan_run(small.world, RunRequest(run_id="first"))
    plan_entity(small.world, task)
    for batch in small.world.manifests.read("first", "a") or []:
        sync_batch(small.world, batch)
    small.legacy("insert into a values (1, 1, 'second', 7)")
    assert verify_entity(small.world, task).conserved
    told = small.told("first")
    assert (told["current"], told["in_flight"], told["missing"], told["pending_deletes"]) == (1, 2, 0, 0)
    assert small.failed() == []


def test_more_rows_without_a_key_than_a_person_has_accepted_open_the_record_anew(make: Make) -> None:
    small = make()
    small.legacy("insert into a values (null, 1, 'y', 7)")
    run(small.world, "first")
    small.target("update hybrid_sync.failed_record set status = 'accepted'")
    run(small.world, "second", profile="daily")
    assert small.target("select status from hybrid_sync.failed_record") == [("accepted",)]
    small.legacy("insert into a values (null, 1, 'z', 7)")
    run(small.world, "third", profile="daily")
    assert small.target("select status, rows from hybrid_sync.failed_record") == [("open", 2)]


# --- what proves a key ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "proven"),
    [
        ("alter table a add primary key (id)", True),
        ("alter table a alter id set not null; create unique index on a (id) include (name)", True),
        ("alter table a add unique (id)", False),  # without NOT NULL
        ("alter table a alter id set not null; create unique index on a (id) where part = 1", False),
        ("alter table a alter id set not null; create unique index on a ((id + 0))", False),
        ("alter table a alter id set not null; create unique index on a (id, part)", False),
        ("alter table a alter id set not null; create index on a (id)", False),
        ("alter table a add primary key (id) deferrable initially deferred", False),
        ("alter table a add primary key (id); create table b () inherits (a)", False),
        (
            "drop table a; create table a (id bigint primary key, part int, name text, amt numeric(12,2))"
            " partition by range (id); create table b partition of a default",
            True,
        ),
    ],
)
def test_only_an_index_that_always_holds_proves_that_keys_are_unique(make: Make, made: str, proven: bool) -> None:
    small = make()
    small.legacy(made)
    with small.world.connect_legacy() as legacy, small.world.connect_target() as target:
        assert compile_entity("a", small.world.catalog, legacy, target).sources["a"].unique is proven


def test_a_column_that_is_no_integer_proves_nothing_since_two_of_its_values_can_become_one(make: Make) -> None:
    small = make()
    small.legacy("drop table a; create table a (id numeric primary key)")
    with small.world.connect_legacy() as legacy:
        assert alone(legacy, proof_in_rounds(small.world.catalog["a"].sources["a"])) is False


@pytest.mark.parametrize("expression", ["id + 0", "z.id::bigint", "coalesce(z.id, 0)", "y.id", "z.part", "'1'"])
def test_an_expression_is_no_column_that_an_index_could_prove(make: Make, expression: str) -> None:
    small = make()
    small.legacy("alter table a add primary key (id)")
    source = small.world.catalog["a"].sources["a"].model_copy(update={"key": {"legacy_id": expression}})
    with small.world.connect_legacy() as legacy:
        assert alone(legacy, proof_in_rounds(source)) is False


# --- both ends of bigint -------------------------------------------------------------------------------------------

_KEYS = [LOWEST, LOWEST + 307, LOWEST + 308, -501, -500, -499, -1, 0, 1, 499, 500, HIGHEST - 308, HIGHEST - 1, HIGHEST]


def test_buckets_and_places_are_those_of_python_from_one_end_of_bigint_to_the_other(legacy_db: str) -> None:
    key = sql.SQL("k")
    with psycopg.connect(legacy_db) as connection:
        for number in _KEYS:
            query = sql.SQL("select {}, {} from (values ({}::int8)) v(k)").format(
                bucket_of(key), offset_in_bucket(key), sql.Literal(str(number))
            )
            assert connection.execute(query).fetchone() == divmod(number, 500)


def test_stretches_are_those_of_python_from_one_end_of_bigint_to_the_other(legacy_db: str) -> None:
    key = sql.SQL("k")
    bits = sql.SQL("strpos({}::text, '1') - 1").format(bit_of(key))
    with psycopg.connect(legacy_db) as connection:
        for number in _KEYS:
            place = divmod(number, STRETCH)
            query = sql.SQL("select {}, {}, {} from (values ({}::int8)) v(k)").format(
                stretch_of(key), bits, within(key, [place[0]]), sql.Literal(str(number))
            )
            assert connection.execute(query).fetchone() == (*place, True)


def test_every_key_lies_between_the_ends_of_its_bucket(legacy_db: str) -> None:
    with psycopg.connect(legacy_db) as connection:
        for number in _KEYS:
            bucket = number // 500
            inside = between(sql.SQL("k"), bucket * 500, (bucket + 1) * 500)
            query = sql.SQL("select k from (values ({}::int8)) v(k) where {}").format(sql.Literal(str(number)), inside)
            assert connection.execute(query).fetchone() == (number,)
            first, last = span(bucket, bucket + 1)
            assert LOWEST <= first <= number <= last <= HIGHEST


# --- plans ---------------------------------------------------------------------------------------------------------


def test_rows_that_are_marked_as_deleted_are_hashed_and_never_joined_whatever_the_statistics(make: Make) -> None:
    small = make()
    small.legacy("insert into a select i, 1, 'x', 1 from generate_series(1, 300) i")
    run(small.world, "first")
    small.target("alter table hybrid_sync.tombstone set (autovacuum_enabled = off)")
    small.legacy("delete from a where id <= 5")
    run(small.world, "second")
    assert small.told("second")["tombstones"] == 5
    with small.world.connect_legacy() as legacy, small.world.connect_target() as target:
        plan = compile_entity("a", small.world.catalog, legacy, target)
        source = small.world.catalog["a"].sources["a"]
        scope = Scope(plan.sources["a"], source, table("a"), sql.SQL("false"), None)
        scope.find_failed(target)
        assert scope.has_marked
        query = sql.SQL("explain select {} from {} where {}").format(
            sql.SQL(", ").join(scope.stored_keys), scope.relation, scope.in_target()
        )
        shown = "\n".join(line for (line,) in target.execute(query).fetchall())
    assert "hashed SubPlan" in shown
    assert "Join" not in shown
    assert "Nested Loop" not in shown


def test_a_large_set_of_keys_is_hashed_once_it_has_room(legacy_db: str) -> None:
    keys = [(number,) for number in range(300_000)]
    asked = sql.SQL("explain select from pg_class where {}").format(among([sql.SQL("oid::int8")], keys))
    with psycopg.connect(legacy_db) as connection:
        make_room(connection, len(keys))
        shown = "\n".join(str(line) for (line,) in connection.execute(asked).fetchall())
    assert "hashed SubPlan" in shown

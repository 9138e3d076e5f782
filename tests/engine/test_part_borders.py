"""Where the parts of a large source begin: by numbers alone where its keys lie close together, else by counting."""

from __future__ import annotations

import pytest

from hybrid_sync.compare import parts
from hybrid_sync.compare.parts import ALL, Range, ranges
from tests.engine.conftest import Query, _runner
from tests.engine.small import compiled, entity, small_world
from tests.engine.worlds import EngineWorld

TARGET = "create table a (id uuid primary key, legacy_id bigint unique, note text)"
KEYS = {
    "close together": ("generate_series(1, 1000)", True),
    "below and above zero": ("generate_series(-500, 499)", True),
    "every other one": ("generate_series(1, 1999, 2)", True),
    "far apart": ("generate_series(1, 100000, 100)", False),
    "at the ends of bigint": (
        "(select 9223372036854775807 - n from generate_series(0, 499) n"
        " union all select -9223372036854775808 + n from generate_series(0, 499) n)", False),
}  # fmt: skip


def _world(legacy_db: str, target_db: str, keys: str) -> EngineWorld:
    legacy = f"create table a (id bigint primary key, note text); insert into a select n, 'x' from {keys} as t (n);"
    return small_world(legacy_db, target_db, legacy + "analyze a", TARGET, entity())


def _ranges(world: EngineWorld, rows: int) -> list[Range]:
    plan, source = compiled(world).sources["a"], world.catalog["a"].sources["a"]
    with world.connect_legacy() as legacy:
        return ranges(plan, source, rows, legacy, None)


@pytest.mark.parametrize("kind", KEYS)
def test_each_key_lies_in_one_part_and_no_part_has_more_than_it_takes(
    legacy_db: str, target_db: str, kind: str
) -> None:
    keys, even = KEYS[kind]
    world = _world(legacy_db, target_db, keys)
    legacy = _runner(legacy_db)
    found = _ranges(world, 100)
    rows = [key for (key,) in legacy("select id from a")]
    held = [sum(key in part for key in rows) for part in found]
    assert sum(held) == len(rows)
    assert all(sum(key in part for part in found) == 1 for key in rows)
    assert max(held) <= 100 + (not even)
    assert len(found) <= (21 if even else 11)


def test_what_fits_is_not_cut_and_nobody_counts_what_lies_close_together(
    legacy_db: str, target_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = _world(legacy_db, target_db, KEYS["close together"][0])
    assert _ranges(world, 10_000) == [ALL]
    monkeypatch.setattr(parts, "_ask_borders", None)
    assert len(_ranges(world, 100)) == 10


def test_a_table_of_wide_rows_is_cut_by_its_bytes(
    legacy_db: str, target_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = _world(legacy_db, target_db, KEYS["close together"][0])
    monkeypatch.setattr(parts, "PART_BYTES", 16 * 1024)
    assert 3 < len(_ranges(world, 10_000)) < 20


def test_a_table_that_nobody_has_counted_is_counted(legacy_db: str, target_db: str, legacy: Query) -> None:
    world = _world(legacy_db, target_db, KEYS["close together"][0])
    legacy("truncate a")
    legacy("vacuum a")
    legacy("alter table a set (autovacuum_enabled = false)")
    legacy("insert into a select n, 'x' from generate_series(1, 1000) n")
    found = _ranges(world, 100)
    assert len(found) == 11

"""`on_missing: null`: a row whose parent is not in the target goes without it, and gets it when the parent comes."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from hybrid_sync.catalog.load import load
from hybrid_sync.schema.install import install
from tests.engine.conftest import Query, _runner
from tests.engine.worlds import EngineWorld, run

PARENTS = """\
entity: p
target: p
sources:
  p: { from: p p, key: { legacy_id: p.id }, columns: { name: p.name }, rules: { exclude: draft, when: p.draft } }
"""
CHILDREN = """\
entity: c
target: c
sources:
  c:
    from: c c
    key: { legacy_id: c.id }
    references: { p_id: { to: p, key: c.p, on_missing: null } }
"""
SEEN = "select c.legacy_id, p.legacy_id from c left join p on p.id = c.p_id order by 1"


@pytest.fixture
def family(legacy_db: str, target_db: str, tmp_path: Path) -> tuple[EngineWorld, Query, Query]:
    """Children of a parent that is there, of one that is excluded, of one that legacy lacks, and of none."""
    legacy, target = _runner(legacy_db), _runner(target_db)
    legacy("create table p (id int primary key, name text, draft boolean not null)")
    legacy("create table c (id int primary key, p int)")
    legacy("insert into p values (1, 'one', false), (2, 'two', true)")
    legacy("insert into c values (1, 1), (2, 2), (3, 9), (4, null)")
    target("create table p (id uuid primary key, legacy_id bigint unique, name text)")
    target("create table c (id uuid primary key, legacy_id bigint unique, p_id uuid references p)")
    (tmp_path / "p.yaml").write_text(PARENTS)
    (tmp_path / "c.yaml").write_text(CHILDREN)
    catalog = load(tmp_path)
    return EngineWorld(catalog, legacy_db, install(target_db, "only-for-tests", catalog)), legacy, target


def _counted(target: Query, run_id: str) -> tuple[int, int, int]:
    [(line,)] = target(
        "select reference_counts -> 0 from hybrid_sync.run_entity where run_id = %s and entity = 'c'", run_id
    )
    return line["carried"], line["left_empty"], line["lost"]


def test_a_reference_without_its_parent_is_left_empty_and_counted_apart(
    family: tuple[EngineWorld, Query, Query],
) -> None:
    world, _, target = family
    assert run(world, "first").outcome.status == "succeeded"
    assert target(SEEN) == [(1, 1), (2, None), (3, None), (4, None)]
    assert _counted(target, "first") == (1, 2, 0)
    assert target("select count(*) from hybrid_sync.failed_record") == [(0,)]


def test_it_is_linked_when_the_parent_comes(family: tuple[EngineWorld, Query, Query]) -> None:
    world, legacy, target = family
    assert run(world, "first").outcome.status == "succeeded"
    legacy("update p set draft = false where id = 2; insert into p values (9, 'nine', false)")
    assert run(world, "second", profile="daily").outcome.status == "succeeded"
    assert target(SEEN) == [(1, 1), (2, 2), (3, 9), (4, None)]
    assert run(world, "third").outcome.status == "succeeded"
    assert _counted(target, "third") == (3, 0, 0)


def test_a_reference_that_moves_to_a_missing_parent_leaves_the_former_one(
    family: tuple[EngineWorld, Query, Query],
) -> None:
    world, legacy, target = family
    run(world, "first")
    legacy("update c set p = 2 where id = 1")
    assert run(world, "second", profile="daily").outcome.status == "succeeded"
    assert target(SEEN) == [(1, None), (2, None), (3, None), (4, None)]


def test_what_is_left_empty_must_be_what_legacy_says(family: tuple[EngineWorld, Query, Query], target_db: str) -> None:
    """A pending link is compared like the reference that it stands for: one that is wrong is named, and set right."""
    world, _, target = family
    run(world, "first")
    with psycopg.connect(target_db, autocommit=True) as owner:
        owner.execute("update hybrid_sync.pending_link set parent_key = 77 where key = '{2}'")
    run(world, "second")
    assert target("select parent_key from hybrid_sync.pending_link where key = '{2}'") == [(2,)]

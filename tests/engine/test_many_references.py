"""A pass over a row with more references than its group has bits, and over keys at the ends of bigint."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from hybrid_sync.contracts import Profile
from tests.engine.small import small_world
from tests.engine.worlds import EngineWorld, run

SLOTS = [f"ref{i}_id" for i in range(7)]
"""Two more than fit into one number beside a bucket and a place."""
ENDS = (-(2**63), -1, 0, 499, 500, 2**63 - 1)

LEGACY = f"""
create table parent (id int primary key);
insert into parent select generate_series(1, 3);
create table child (id bigint primary key, {", ".join(f"{slot} int" for slot in SLOTS)});
insert into child select k, {", ".join(f"case when (n + {i}) % 3 <> 0 then 1 + n % 3 end" for i in range(len(SLOTS)))}
from unnest(array{list(ENDS)}::bigint[]) with ordinality as u(k, n);
"""
TARGET = f"""
create table parents (id uuid primary key, legacy_id bigint unique);
create table children (id uuid primary key, legacy_id bigint unique, {", ".join(f"{slot} uuid" for slot in SLOTS)});
"""
ENTITIES: tuple[dict[str, Any], ...] = (
    {
        "entity": "parents", "target": "parents",
        "sources": {"parent": {"from": "parent t", "key": {"legacy_id": "t.id"}, "columns": {}}},
    },
    {
        "entity": "children", "target": "children",
        "sources": {
            "child": {
                "from": "child t", "key": {"legacy_id": "t.id"}, "columns": {},
                "references": {slot: {"to": "parents", "key": f"t.{slot}"} for slot in SLOTS},
            }
        },
    },
)  # fmt: skip


@pytest.fixture
def world(legacy_db: str, target_db: str) -> EngineWorld:
    world = small_world(legacy_db, target_db, LEGACY, TARGET, *ENTITIES)
    assert run(world, "first", profile=Profile.weekly).outcome.status == "succeeded"
    return world


def counted(world: EngineWorld, target_db: str, run_id: str) -> list[dict[str, Any]]:
    """The references of the children, as a run's verdict counts them."""
    with psycopg.connect(target_db) as target:
        found = target.execute(
            "select reference_counts from hybrid_sync.run_entity where run_id = %s and entity = 'children'", (run_id,)
        ).fetchone()
    assert found is not None
    lines: list[dict[str, Any]] = found[0]
    return lines


def test_each_of_many_references_is_counted(world: EngineWorld, target_db: str) -> None:
    assert run(world, "idle", profile=Profile.daily).outcome.status == "succeeded"
    lines = counted(world, target_db, "idle")
    assert {line["column"]: (line["carried"], line["without"]) for line in lines} == dict.fromkeys(SLOTS, (4, 2))


@pytest.mark.parametrize("key", ENDS)
def test_a_reference_that_is_lost_is_named_whatever_its_slot_and_its_key(
    world: EngineWorld, target_db: str, key: int
) -> None:
    with psycopg.connect(target_db, autocommit=True) as target:
        lost = [
            slot for slot in SLOTS
            if target.execute(
                f"update children set {slot} = null where legacy_id = %s and {slot} is not null", (key,)  # type: ignore[arg-type]
            ).rowcount
        ]  # fmt: skip
    assert run(world, "idle", profile=Profile.daily).outcome.status == "failed"
    lines = counted(world, target_db, "idle")
    assert {line["column"]: line["lost_keys"] for line in lines if line["lost"]} == {
        slot: [f"child:{key}"] for slot in lost
    }

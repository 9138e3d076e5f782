"""A pass over a row with more references than its group has bits, and over keys at the ends of bigint."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from hybrid_sync.contracts import Profile
from tests.engine.small import small_world
from tests.engine.worlds import EngineWorld, run

WIDTHS = (3, 6, 7)
"""As many references as fit into one number beside 64 keys and a place, as fit beside 512 keys, and one more."""
ENDS = (-(2**63), -1, 0, 63, 64, 499, 500, 512, 2**63 - 1)


def slots(width: int) -> list[str]:
    return [f"ref{i}_id" for i in range(width)]


def legacy(width: int) -> str:
    return f"""
create table parent (id int primary key);
insert into parent select generate_series(1, 3);
create table child (id bigint primary key, {", ".join(f"{slot} int" for slot in slots(width))});
insert into child select k, {", ".join(f"case when (n + {i}) % 3 <> 0 then 1 + n % 3 end" for i in range(width))}
from unnest(array{list(ENDS)}::bigint[]) with ordinality as u(k, n);
"""


def target(width: int) -> str:
    references = ", ".join(f"{slot} uuid" for slot in slots(width))
    return f"""
create table parents (id uuid primary key, legacy_id bigint unique);
create table children (id uuid primary key, legacy_id bigint unique, {references});
"""


def entities(width: int) -> tuple[dict[str, Any], ...]:
    return (
        {
            "entity": "parents", "target": "parents",
            "sources": {"parent": {"from": "parent t", "key": {"legacy_id": "t.id"}, "columns": {}}},
        },
        {
            "entity": "children", "target": "children",
            "sources": {
                "child": {
                    "from": "child t", "key": {"legacy_id": "t.id"}, "columns": {},
                    "references": {slot: {"to": "parents", "key": f"t.{slot}"} for slot in slots(width)},
                }
            },
        },
    )  # fmt: skip


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture
def world(legacy_db: str, target_db: str, width: int) -> EngineWorld:
    world = small_world(legacy_db, target_db, legacy(width), target(width), *entities(width))
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


def test_each_of_many_references_is_counted(world: EngineWorld, target_db: str, width: int) -> None:
    assert run(world, "idle", profile=Profile.daily).outcome.status == "succeeded"
    lines = counted(world, target_db, "idle")
    assert {line["column"]: (line["carried"], line["without"]) for line in lines} == dict.fromkeys(slots(width), (6, 3))


@pytest.mark.parametrize("width", [3], indirect=True)
@pytest.mark.parametrize("key", ENDS)
def test_a_row_that_has_changed_is_carried_whatever_its_key(world: EngineWorld, legacy_db: str, key: int) -> None:
    with psycopg.connect(legacy_db, autocommit=True) as legacy:
        legacy.execute("update child set ref0_id = 3 - mod(coalesce(ref0_id, 0), 3) where id = %s", (key,))
    done = run(world, "daily", profile=Profile.daily)
    assert (done.outcome.status, done.total("children")["read"]) == ("succeeded", 1)


@pytest.mark.parametrize("width", [3, 6], indirect=True)
@pytest.mark.parametrize("key", ENDS)
def test_a_row_that_has_gone_is_missed_whatever_its_key(world: EngineWorld, target_db: str, key: int) -> None:
    with psycopg.connect(target_db, autocommit=True) as target:
        target.execute("delete from children where legacy_id = %s", (key,))
        target.execute("insert into children (id, legacy_id) values (gen_random_uuid(), %s)", (key // 2 + 7,))
    assert run(world, "idle", profile=Profile.daily).outcome.status == "failed"


@pytest.mark.parametrize("key", ENDS[::2])
def test_a_reference_that_is_lost_is_named_whatever_its_slot_and_its_key(
    world: EngineWorld, target_db: str, width: int, key: int
) -> None:
    with psycopg.connect(target_db, autocommit=True) as target:
        lost = [
            slot for slot in slots(width)
            if target.execute(
                f"update children set {slot} = null where legacy_id = %s and {slot} is not null", (key,)  # type: ignore[arg-type]
            ).rowcount
        ]  # fmt: skip
    assert run(world, "idle", profile=Profile.daily).outcome.status == "failed"
    lines = counted(world, target_db, "idle")
    assert {line["column"]: line["lost_keys"] for line in lines if line["lost"]} == {
        slot: [f"child:{key}"] for slot in lost
    }

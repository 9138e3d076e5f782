"""A large entity is verified part by part: the parts add up to the whole, and each call goes on where one ended."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_sync.contracts import EntityTask
from hybrid_sync.steps import count_entity
from hybrid_sync.steps.verify_entity import verify_entity
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

COUNTED = "conservation, money, reference_counts, status, failure"


@pytest.fixture
def spoilt(world: EngineWorld, legacy: Query, target: Query) -> EngineWorld:
    """A run after which rows are failed, excluded, without a key, in flight, missing, changed natively and gone."""
    for statement in (
        "alter table remark drop constraint remark_pkey, alter id drop not null",
        "insert into remark (id, person_id, body) values (null, 1, 'no key'), (5, 1, 'a twin')",
        "insert into person (id, clinic_id, email) values (50, 999, 'orphan@example.org')",
    ):
        legacy(statement)
    run(world, "week", profile="weekly")
    legacy("update visit set note = 'in flight' where id in (2, 11)")
    legacy("delete from invoice where id in (1, 12)")
    for statement in (
        "delete from messages where legacy_id in (2, 4)",
        "delete from grants where legacy_person_id = 2 and legacy_right_id = 3",
        "update invoices set total = total + 1 where legacy_id = 7",
        "update visits set best_invoice_id = null where legacy_id = 6",
        "update hybrid_sync.run_entity set seen = null",  # nothing may stand for a look
    ):
        target(statement)
    return world


def counted(world: EngineWorld, target: Query) -> tuple[list[tuple[Any, ...]], list[int]]:
    """What the verdicts say of every entity, and how many calls each took."""
    calls = []
    for entity in sorted(world.catalog.entities):
        calls.append(1)
        while verify_entity(world, EntityTask(run_id="week", entity=entity)).more:
            calls[-1] += 1
    return target(f"select entity, {COUNTED} from hybrid_sync.run_entity order by entity"), calls


def tiny(monkeypatch: pytest.MonkeyPatch, patience: float) -> None:
    """From here on every entity is larger than what a part has: three rows."""
    for name, value in (("PART_BYTES", -1), ("PART_ROWS", 3), ("PATIENCE", patience)):
        monkeypatch.setattr(count_entity, name, value)


def test_parts_add_up_to_the_whole_and_a_call_whose_time_is_over_hands_over(
    spoilt: EngineWorld, target: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, calls = counted(spoilt, target)
    assert set(calls) == {1}
    assert any(row[1]["missing"] for row in at_once) and any(row[1]["null_keys"] for row in at_once)

    tiny(monkeypatch, patience=-1)
    in_parts, calls = counted(spoilt, target)
    assert in_parts == at_once
    assert max(calls) > 3

    tiny(monkeypatch, patience=3600)
    assert counted(spoilt, target) == (at_once, [1] * len(calls))


def test_a_run_goes_through_the_parts_of_an_entity_and_its_fence_moves(
    world: EngineWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny(monkeypatch, patience=-1)
    done = run(world, "week", profile="daily")
    assert done.outcome.status == "succeeded"
    assert all(verdict.fence_advanced and not verdict.more for verdict in done.verdicts.values())


def test_a_late_delivery_brings_back_nothing_that_is_over(
    spoilt: EngineWorld, target: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have gone on and recorded the verdict, while it counted its part."""
    tiny(monkeypatch, patience=-1)
    task = EntityTask(run_id="week", entity="visits")
    add_earlier = count_entity.add_earlier

    def meanwhile(*given: Any) -> None:
        monkeypatch.setattr(count_entity, "add_earlier", add_earlier)
        while verify_entity(spoilt, task).more:
            pass
        add_earlier(*given)

    assert verify_entity(spoilt, task).more
    monkeypatch.setattr(count_entity, "add_earlier", meanwhile)
    assert verify_entity(spoilt, task).more
    assert target("select entity from hybrid_sync.run_entity where verification is not null") == []

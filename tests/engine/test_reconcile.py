"""The reconcile finds what no fence can see, names it by key and column, and heals what comes from legacy."""

from __future__ import annotations

from typing import Any

from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


def result(target: Query, run_id: str, entity: str) -> dict[str, Any]:
    found: dict[str, Any] = target(
        "select reconcile from hybrid_sync.run_entity where run_id = %s and entity = %s", run_id, entity
    )[0][0]
    return found


def differences(target: Query, run_id: str) -> list[tuple[Any, ...]]:
    return target(
        "select entity, source, key, kind, columns, origin, state from hybrid_sync.difference"
        " where run_id = %s order by entity, source, key",
        run_id,
    )


def silently(legacy: Query, table: str, change: str) -> None:
    """Change a row so that it keeps the transaction id that it had: what a disk snapshot brings back looks like it."""
    legacy(f"create table kept as select *, xmin::text as was from {table}")
    legacy(change)


def test_equal_sides_have_no_difference_whatever_their_types(world: EngineWorld, target: Query) -> None:
    done = run(world, "first")
    assert done.outcome.status == "succeeded"
    assert differences(target, "first") == []
    checked = {
        entity: (found["rows_checked"], found["differing"], found["persisted"])
        for entity, found in target("select entity, reconcile from hybrid_sync.run_entity")
    }
    assert checked == {
        "clinics": (2, 0, 0), "people": (12, 0, 0), "visits": (9, 0, 0), "invoices": (9, 0, 0),
        "messages": (10, 0, 0), "grants": (12, 0, 0),
    }  # fmt: skip


def test_a_native_change_is_named_by_key_and_column_and_left_alone(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    target("update people set email = 'changed@example.org', born = null where legacy_id = 3")
    done = run(world, "second")
    assert differences(target, "second") == [
        ("people", "person", [3], "changed", ["email", "born"], "target", "confirmed")
    ]
    assert target("select email from people where legacy_id = 3") == [("changed@example.org",)]
    assert (result(target, "second", "people")["drift"], done.outcome.status) == (1, "succeeded")


def test_a_repair_undoes_native_changes_and_keeps_what_is_not_mapped(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    target("update people set email = 'changed@example.org', internal_note = 'keep' where legacy_id = 3")
    run(world, "second")
    done = run(world, "third", profile="verify", repair=True)
    assert done.outcome.status == "succeeded"
    assert target("select email, internal_note from people where legacy_id = 3") == [("person3@example.org", "keep")]
    assert [d[-1] for d in differences(target, "third")] == ["healed"]

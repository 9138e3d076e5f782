"""Linking: beside a batch that reads the same row anew, what that row refers to now is what stays; and many at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hybrid_sync.contracts import LinkTask, Profile, Ref, RunRequest
from hybrid_sync.failpoints import armed
from hybrid_sync.steps.link_references import link_references
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.sync_batch import sync_batch
from tests.engine.conftest import Query
from tests.engine.test_batches import planned
from tests.engine.worlds import EngineWorld, run


@dataclass(frozen=True)
class Meanwhile:
    """An armed action: something else happens just then."""

    happens: Callable[[], None]

    def fire(self, name: str, connections: tuple[Any, ...]) -> None:
        self.happens()


def test_a_link_chosen_before_the_lock_does_not_settle_what_waits_now(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    for batch in planned(world, "first", "people"):
        sync_batch(world, batch)

    def another_run_reads_person_3_anew() -> None:
        legacy("update person set manager_id = 999 where id = 3")
        refs = (Ref(entity="people", legacy_id=3),)
        plan = plan_run(world, RunRequest(run_id="second", profile=Profile.on_demand, refs=refs))
        for task in plan.entities:
            plan_entity(world, task)
            for batch in world.manifests.tasks["second", task.entity]:
                sync_batch(world, batch)

    with armed({"link.chosen": Meanwhile(another_run_reads_person_3_anew)}):
        link_references(world, LinkTask(run_id="first"))
    assert target("select key, parent_key from hybrid_sync.pending_link where entity = 'people'") == [([3], 999)]
    assert target("select reason, status from hybrid_sync.failed_record where key = '{3}'") == [
        ("missing_parent", "open")
    ]

    legacy("insert into person (id, clinic_id, email, kind) values (999, 1, 'late@example.org', 1)")
    run(world, "third")
    linked = "select p.legacy_id from people c join people p on p.id = c.manager_id where c.legacy_id = 3"
    assert target(linked) == [(999,)]


def test_a_link_that_fails_after_all_was_well_is_a_failure_that_no_message_tells_of_yet(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    """An undo had marked the row as queued, since runs alone read such rows again, and one had brought it."""
    run(world, "first")
    target(
        "insert into hybrid_sync.failed_record (entity, source, key, reason, present, first_run, last_run, queued_at,"
        " status, attempts, ended_at, ended_by) values ('people', 'person', '{3}', 'rolled_back', true, 'first',"
        " 'first', now(), 'resolved', 2, now(), 'first')"
    )
    legacy("update person set manager_id = 999 where id = 3")
    run(world, "second")
    columns = "reason, status, attempts, queued_at, ended_at, ended_by"
    assert target(f"select {columns} from hybrid_sync.failed_record where key = '{{3}}'") == [
        ("missing_parent", "open", 0, None, None, None)
    ]
    legacy("update person set email = 'other@example.org' where id = 2")
    run(world, "third")
    assert any((3,) in message.keys for message in world.failure_queue.messages), "the next batch tells of it"


def test_many_new_rows_that_refer_to_each_other_are_linked_in_one_run(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    """Whatever the planner believes of records that nobody has analysed: one join per link outlasts any statement."""
    legacy(
        "insert into person (id, email, kind, manager_id) select g, 'many' || g || '@example.org', 1, g + 1"
        " from generate_series(100001, 120000) g"
    )
    assert run(world, "first").outcome.status == "degraded"
    assert target("select count(*) from people where legacy_id > 100000 and manager_id is null") == [(1,)]

"""Of failures of several causes the table, the queue, the pages, the command and the report say the same numbers."""

from __future__ import annotations

from typing import Any

from hybrid_sync.report.summary import summarise
from hybrid_sync.services.failed import accept, failures
from hybrid_sync.services.messages.records import AcceptAsked, FailuresAsked
from hybrid_sync.services.messages.runs import OverviewAsked
from hybrid_sync.services.views.missed import ask_missed, missed
from hybrid_sync.services.views.outlook import FAILED, GIVEN_UP
from hybrid_sync.services.views.overview import overview
from hybrid_sync.session import answer
from hybrid_sync.steps.escalate_failure import escalate_failure
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run
from tests.views.conftest import Looked

Counts = dict[tuple[str, str], tuple[int, int, int]]
"""By entity and reason: records, given up, accepted."""
TABLE = (
    "select entity, reason, count(*), count(*) filter (where status = 'escalated'),"
    " count(*) filter (where status = 'accepted') from hybrid_sync.failed_record where status <> 'resolved'"
    " group by entity, reason"
)


def test_all_say_the_same_of_every_cause(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("insert into visit (id, person_id) select 500 + i, 5000 + i from generate_series(1, 230) i")
    legacy("update person set settings = 'not json' where id in (3, 5)")
    legacy("update person set email = 'person7@example.org' where id = 8")
    run(world, "first")
    desk: Any = Looked(world.target_dsn, world.catalog)
    messages = world.failure_queue.messages
    assert escalate_failure(world, [next(m for m in messages if len(m.keys) == 100)]) == 100
    accept(desk, AcceptAsked(entity="people", keys=((3,),), why="as it was"), "ann")

    table: Counts = {(e, r): (n, up, kept) for e, r, n, up, kept in target(TABLE)}

    assert {reason for _, reason in table} >= {"missing_parent", "bad_json"}
    assert sum(up for _, up, _ in table.values()) == 100
    assert _on_pages(world) == _in_the_report(world) == table
    for (entity, reason), (n, *_) in table.items():
        assert failures(desk, FailuresAsked(entity=entity, reason=reason), "ann").every == n
    queues = {queue.name: queue.records for queue in overview(desk, OverviewAsked(), "ann").queues}
    waiting = target("select count(*) from hybrid_sync.failed_record where status = 'open' and queued_at is not null")
    assert queues[GIVEN_UP] == 100
    assert queues[FAILED] == waiting[0][0] == sum(len(message.keys) for message in messages) - 100


def _on_pages(world: EngineWorld) -> Counts:
    with world.connect_target() as target:
        found = missed(answer(target, ask_missed()), world.catalog, {})
    return {(one.entity, one.code): (one.records, one.escalated, one.accepted) for one in found}


def _in_the_report(world: EngineWorld) -> Counts:
    with world.connect_target() as target:
        found = summarise(target, "first", world.catalog).missed
    return {(one.entity, one.reason): (one.records, one.escalated, one.accepted) for one in found}

"""What is kept no longer than it is needed goes by itself, at the end of a weekly run."""

from __future__ import annotations

from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

_KEY = "insert into hybrid_sync.failed_record (entity, source, key, reason, status, first_run, last_run, ended_at)"


def test_old_weeks_of_the_journal_and_old_ended_records_are_forgotten(world: EngineWorld, target: Query) -> None:
    for n, (status, days) in enumerate((("resolved", 31), ("resolved", 29), ("open", 99), ("accepted", 99))):
        target(f"{_KEY} values ('people', 'person', '{{{900 + n}}}', 'trigger', %s, 'r', 'r',"
               " now() - make_interval(days => %s))", status, days)  # fmt: skip
    for days in (60, 20):
        target("select hybrid_sync.ensure_journal_partition(now() - make_interval(days => %s))", days)
        target(
            "insert into hybrid_sync.journal (recorded_at, run_id, batch_id, entity, source, operation, keys, xid)"
            " values (now() - make_interval(days => %s), 'r', gen_random_uuid(), 'people', 'person', 'insert', '{1}',"
            " '3')",
            days,
        )
    run(world, "before", profile="weekly", entities=["clinics"])
    for days in (91, 89):
        target(
            "insert into hybrid_sync.difference (run_id, entity, source, key, segment, found_at)"
            " values ('before', 'clinics', 'clinic', array[%s::int8], 0, now() - make_interval(days => %s))",
            days, days,
        )  # fmt: skip
    run(world, "first", profile="weekly", entities=["clinics"])
    assert target("select key[1] from hybrid_sync.difference where run_id = 'before'") == [(89,)]
    kept = target("select key[1] from hybrid_sync.failed_record where key[1] >= 900 order by 1")
    assert kept == [(901,), (902,), (903,)]
    assert target("select count(*) from hybrid_sync.journal where run_id = 'r'") == [(1,)]

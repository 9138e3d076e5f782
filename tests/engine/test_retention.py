"""What is kept no longer than it is needed goes by itself, at the end of a weekly run."""

from __future__ import annotations

from pathlib import Path

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


def test_what_only_the_journal_needs_goes_with_it(world: EngineWorld, target: Query) -> None:
    run(world, "before", profile="weekly", entities=["clinics"])
    target("insert into hybrid_sync.run select (jsonb_populate_record(r, jsonb_build_object('run_id', 'old',"
           " 'started_at', now() - interval '37 days', 'finished_at', now() - interval '36 days'))).*"
           " from hybrid_sync.run r where run_id = 'before'")  # fmt: skip
    for days in (36, 34):
        target("insert into hybrid_sync.written_beside (batch_id, run_id, xids, at)"
               " values (gen_random_uuid(), 'old', '{3}', now() - make_interval(days => %s))", days)  # fmt: skip
    # A week of the journal goes as a whole: its entries may be there for some days more.
    target("insert into hybrid_sync.written_beside (batch_id, run_id, xids, at)"
           " select distinct batch_id, 'kept', '{3}'::xid[], now() - interval '36 days' from hybrid_sync.journal"
           " where run_id = 'before' limit 1")  # fmt: skip
    for name in ("old", "before"):
        target("insert into hybrid_sync.batch_attempt (page_id, run_id) values (gen_random_uuid(), %s)", name)
    run(world, "first", profile="weekly", entities=["clinics"])
    left = "select run_id, extract(day from now() - at)::int from hybrid_sync.written_beside order by 1"
    assert target(left) == [("kept", 36), ("old", 34)]
    assert target("select run_id from hybrid_sync.batch_attempt") == [("before",)]


def test_the_documentation_says_of_each_table_how_long_it_keeps_what(world: EngineWorld, target: Query) -> None:
    _, _, after = Path("docs/compliance.md").read_text().partition("## How long what is kept")
    said, _, _ = after.partition("\n## ")
    tables = target("select relname from pg_class where relnamespace = 'hybrid_sync'::regnamespace"
                    " and relkind in ('r', 'p') and not relispartition")  # fmt: skip
    assert [name for (name,) in tables if f"`hybrid_sync.{name}`" not in said] == []

"""What a page's failing rows cost does not grow with what has failed before: no failed record is read for another's."""

from __future__ import annotations

import json

import pytest
from psycopg import sql

from hybrid_sync.failures.quarantine import RETRYABLE, take_unqueued
from hybrid_sync.postgres import Connection, connect, transaction
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

BEFORE = 20_000
"""Records that are open: a bad value, of which no message tells, and a missing parent, already told, in turns."""
FILL = """
insert into hybrid_sync.failed_record (entity, source, key, reason, first_run, last_run, queued_at)
select 'people', 'people', array[1000000 + n], case when n %% 2 = 0 then 'bad_value' else 'unique_violation' end, 'old',
       'old', case when n %% 2 = 1 then clock_timestamp() end
from generate_series(1, %s) n
"""
READ = """
select sum(seq_tup_read + idx_tup_fetch)::int from pg_stat_xact_all_tables
where schemaname = 'hybrid_sync' and relname = 'failed_record'
"""
CLOSE = (
    "select unqueued from hybrid_sync.close_batch('now', 'people', 'people', %s, '{{}}', '[]', '{{}}', '{{}}',"
    " gen_random_uuid(), '{{}}', 0, null, null, {})"
)
OPEN = (
    "select waiting from hybrid_sync.open_batch('now', 'people', 'people', '{{}}', gen_random_uuid(),"
    " gen_random_uuid(), 0, 0, 1, {first}, {last}, '{{}}', '{{}}')"
)


def read_by(connection: Connection) -> int:
    """Failed records that the transaction has read."""
    row = connection.execute(READ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def crowded(world: EngineWorld, target: Query, request: pytest.FixtureRequest) -> EngineWorld:
    """Many records are open, and one run goes on; the planner knows of them, or it does not."""
    run(world, "now")
    target("update hybrid_sync.run set status = 'running' where run_id = 'now'")
    target(FILL, BEFORE)
    target("update hybrid_sync.failed_record set queued_at = clock_timestamp() where last_run = 'now'")
    if request.param:
        target("analyze hybrid_sync.failed_record")
    return world


both = pytest.mark.parametrize("crowded", [True, False], indirect=True, ids=["analyzed", "new"])


@both
def test_records_that_no_message_names_are_found_without_reading_the_others(
    crowded: EngineWorld, target: Query
) -> None:
    target("update hybrid_sync.failed_record set queued_at = null where key[1] = any(%s)", [1_000_001, 1_019_999])
    with connect(crowded.target_dsn, "target") as connection:
        with transaction(connection, "target"):
            [message] = take_unqueued(connection, "now", "people", "people")
            read = read_by(connection)
        with transaction(connection, "target"):
            assert take_unqueued(connection, "now", "people", "people") == []
            again = read_by(connection)
    assert message.keys == ((1_000_001,), (1_019_999,))
    assert read < 100
    assert again < 100


@both
def test_a_page_that_ends_learns_whether_a_message_is_due_without_reading_the_others(
    crowded: EngineWorld, target: Query
) -> None:
    failed = {"key": [5], "reason": "bad_value", "present": False, "rows": 1}
    heals = failed | {"key": [6], "reason": "unique_violation"}
    close = sql.SQL(CLOSE).format(sql.Literal(RETRYABLE))
    with connect(crowded.target_dsn, "target") as connection:
        for rows, due in (([failed], False), ([failed, heals], True)):
            with transaction(connection, "target"):
                row = connection.execute(close, (json.dumps(rows),)).fetchone()
                assert row == (due,)
                assert read_by(connection) < 100


@both
def test_a_page_that_begins_reads_its_own_open_records_only(crowded: EngineWorld) -> None:
    with connect(crowded.target_dsn, "target") as connection, transaction(connection, "target"):
        query = sql.SQL(OPEN).format(first=1_000_100, last=1_000_120)
        row = connection.execute(query).fetchone()
        assert row is not None
        assert sorted(row[0]) == [[n] for n in range(1_000_100, 1_000_121)]
        assert read_by(connection) < 100

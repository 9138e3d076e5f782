"""Legacy's own history: a lagging standby takes over, transaction ids wrap; nothing missed, nothing read for ever."""

from __future__ import annotations

import shutil

import psycopg

from hybrid_sync.legacy.fence import current_fence
from hybrid_sync.postgres import transaction
from hybrid_sync_cli.stack.postgres import Cluster
from tests.engine.worlds import EngineWorld, run

_SEGMENT = 1_048_576
"""Transactions in one file of pg_xact."""


def moved(world: EngineWorld, cluster: Cluster) -> EngineWorld:
    world.legacy_dsn = cluster.dsn()
    return world


def execute(cluster: Cluster, query: str) -> None:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(query.encode())


def bodies(world: EngineWorld) -> list[tuple[int, str]]:
    with world.connect_target() as target:
        rows = target.execute(
            "select legacy_id, body from messages where legacy_source = 'remark' order by 1"
        ).fetchall()
        return [(row[0], row[1]) for row in rows]


def detection(world: EngineWorld, run_id: str) -> tuple[str, str]:
    with world.connect_target() as target:
        row = target.execute(
            "select detection, detection_reason from hybrid_sync.run_entity where run_id = %s and entity = 'messages'",
            (run_id,),
        ).fetchone()
        assert row is not None
        return row[0], row[1]


def test_a_lagging_standby_that_takes_over_is_read_whole_once(
    world: EngineWorld, own_legacy: Cluster, standby: Cluster
) -> None:
    moved(world, own_legacy)
    execute(
        own_legacy,
        "do $$ begin for i in 1..50 loop update remark set body = 'lost ' || i where id = 1; commit; end loop; end $$",
    )
    run(world, "before")
    own_legacy.stop()
    standby.ensure()
    execute(standby, "select pg_promote(true, 60)")
    # These transactions carry ids that the old primary has used already, below the fence.
    execute(standby, "update remark set body = 'after failover' where id = 2")
    done = run(moved(world, standby), "after", entities=("people", "messages", "clinics"))
    assert detection(world, "after") == ("full", "other_timeline")
    assert done.outcome.status == "succeeded"
    assert bodies(world)[:2] == [(1, "remark 1"), (2, "after failover")]
    calm = run(world, "calm", entities=("messages",))
    assert detection(world, "calm") == ("fence", "")
    assert calm.total("messages")["read"] == 0


def jump(world: EngineWorld, cluster: Cluster, to: int) -> None:
    """Let legacy's transaction ids stand at `to` (on a segment border), as after years of work."""
    assert to % _SEGMENT == 0
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("update pg_database set datallowconn = true")
        names = [name for (name,) in connection.execute("select datname from pg_database").fetchall()]
    for name in names:
        with psycopg.connect(cluster.dsn(name), autocommit=True) as connection:
            connection.execute("vacuum freeze")
    cluster.stop()
    cluster.binaries.run("pg_resetwal", "-f", "-x", str(to % 2**32), "-D", cluster.data)
    segment = cluster.data / "pg_xact" / f"{to % 2**32 // _SEGMENT:04X}"
    segment.write_bytes(bytes(256 * 1024))
    if cluster.binaries.user:
        shutil.chown(segment, cluster.binaries.user)
    cluster.ensure()
    moved(world, cluster)
    keep_trusting(world)


def keep_trusting(world: EngineWorld) -> None:
    """As if the server had not been started anew in between, which years of work do not need."""
    with world.connect_legacy() as legacy, transaction(legacy, "legacy", read_only=True):
        life = current_fence(legacy).life
    with world.connect_target() as target:
        target.execute("update hybrid_sync.fence set fence = fence || jsonb_build_object('life', %s::text)", (life,))


STEP = 1_144 * _SEGMENT
"""1.2 × 10⁹ transactions: two of them are more than 2³¹."""


def test_rows_older_than_two_to_the_31_transactions_are_neither_missed_nor_read_for_ever(
    world: EngineWorld, own_legacy: Cluster
) -> None:
    moved(world, own_legacy)
    run(world, "first")
    for number in (1, 2):
        jump(world, own_legacy, number * STEP)
        execute(own_legacy, f"update remark set body = 'jump {number}' where id = {number}")
        done = run(world, f"jump-{number}", entities=("messages",))
        assert detection(world, f"jump-{number}") == ("fence", "")
        assert done.total("messages")["read"] == 1
    assert bodies(world)[:3] == [(1, "jump 1"), (2, "jump 2"), (3, "remark 3")]


def test_a_fence_that_is_too_old_is_not_trusted(world: EngineWorld, own_legacy: Cluster) -> None:
    moved(world, own_legacy)
    run(world, "first")
    for number in (1, 2):
        jump(world, own_legacy, number * STEP)
    execute(own_legacy, "update remark set body = 'late' where id = 1")
    done = run(world, "late", entities=("messages",))
    assert detection(world, "late") == ("full", "too_old")
    assert done.outcome.status == "succeeded"
    assert bodies(world)[0] == (1, "late")

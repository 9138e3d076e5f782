"""Legacy crashes: what it had not yet written to disk is gone, and the transaction ids of it are given out again."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from hybrid_sync.legacy.fence import Fence, current_fence, older
from hybrid_sync.postgres import transaction
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import wait_until
from tests.engine.test_legacy_history import bodies, detection, execute, moved
from tests.engine.worlds import EngineWorld, execution, functions_of, run
from tests.flow.conduct import conduct


def next_xid(cluster: Cluster) -> int:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        return int(connection.execute("select pg_snapshot_xmax(pg_current_snapshot())::text").fetchall()[0][0])


def crash(cluster: Cluster) -> None:
    """As when the machine loses its power: every process at once."""
    postmaster = psutil.Process(int((cluster.data / "postmaster.pid").read_text("utf-8").split("\n", 1)[0]))
    for process in [postmaster, *postmaster.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    cluster.ensure()


def crash_of_a_session(cluster: Cluster) -> None:
    """As when the system kills one session for want of memory: the server restarts all others by itself."""
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        psutil.Process(connection.info.backend_pid).send_signal(signal.SIGKILL)
        with suppress(psycopg.OperationalError):
            while True:
                connection.execute("select 1")
    wait_until(lambda: answers(cluster), seconds=30, failed=lambda: None, what="legacy")


def answers(cluster: Cluster) -> bool:
    with suppress(psycopg.OperationalError):
        psycopg.connect(cluster.dsn()).close()
        return True
    return False


ENDS = {
    "committed and not waited for": "set synchronous_commit = off; update remark set body = 'lost' where id = 1",
    "undone": "begin; update remark set body = 'undone' where id = 1; rollback",
    "without a trace": "select pg_current_xact_id()",
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("crashes", [crash, crash_of_a_session])
def test_a_change_whose_id_was_given_out_before_a_crash_is_carried(
    world: EngineWorld, own_legacy: Cluster, end: str, crashes: Callable[[Cluster], None]
) -> None:
    moved(world, own_legacy)
    execute(own_legacy, "alter system set wal_writer_delay = '10s'")
    execute(own_legacy, "alter system set autovacuum = off")
    execute(own_legacy, "select pg_reload_conf()")
    run(world, "first")
    with psycopg.connect(own_legacy.dsn(), autocommit=True) as writer:
        for _ in range(20):
            for statement in ENDS[end].split("; "):
                writer.execute(statement.encode())
    run(world, "before")
    reached = next_xid(own_legacy)
    crashes(own_legacy)
    assert next_xid(own_legacy) < reached, "ids are given out again"
    execute(own_legacy, "update remark set body = 'after the crash' where id = 2")
    for _ in range(25):
        execute(own_legacy, "select pg_current_xact_id()")
    moved(world, own_legacy)
    done = run(world, "after", profile="daily")
    assert detection(world, "after") == ("full", "restarted")
    assert done.outcome.status == "succeeded"
    with psycopg.connect(own_legacy.dsn()) as legacy:
        assert bodies(world)[:2] == legacy.execute("select id, body from remark where id < 3 order by 1").fetchall()
    run(world, "calm", profile="daily")
    assert detection(world, "calm") == ("fence", "")


def test_a_check_after_a_crash_compares_all_the_same(world: EngineWorld, own_legacy: Cluster) -> None:
    moved(world, own_legacy)
    run(world, "first")
    crash(own_legacy)
    moved(world, own_legacy)
    assert run(world, "check", profile="verify").outcome.status == "succeeded"


def test_an_undo_across_a_crash_reads_everything_again(world: EngineWorld, own_legacy: Cluster) -> None:
    moved(world, own_legacy)
    run(world, "first")
    with world.connect_target() as target:
        before = Fence.model_validate(target.execute("select fence from hybrid_sync.fence limit 1").fetchall()[0][0])
    crash(own_legacy)
    with psycopg.connect(own_legacy.dsn(), autocommit=True) as legacy, transaction(legacy, "legacy", read_only=True):
        after = current_fence(legacy)
    assert older(before, after) is None
    assert older(after, after) == after


def put_back(cluster: Cluster, copy: Path) -> None:
    """The disk as it was when it was copied, under the same address."""
    cluster.stop()
    shutil.rmtree(cluster.data)
    copy.rename(cluster.data)
    cluster.ensure(cluster.port)


def test_a_run_does_not_succeed_with_what_legacy_has_lost_meanwhile(world: EngineWorld, own_legacy: Cluster) -> None:
    """A row was read, then the server lost it: counts and money agree all the same."""
    moved(world, own_legacy)
    run(world, "first")
    own_legacy.stop()
    copy = own_legacy.directory / "copy"
    subprocess.run(["cp", "-a", own_legacy.data, copy], check=True)
    own_legacy.ensure(own_legacy.port)
    execute(own_legacy, "update remark set body = 'lost' where id = 1")
    flow, functions = execution(world, "second", profile="daily"), functions_of(world)
    conduct(flow, functions, until=lambda delivery: delivery.function == "verify_entity")
    put_back(own_legacy, copy)
    conduct(flow, functions)
    assert bodies(world)[0] == (1, "lost")
    with world.connect_target() as target:
        [(code, advanced)] = target.execute(
            "select failure->>'code', fence_advanced from hybrid_sync.run_entity join hybrid_sync.run using (run_id)"
            " where run_id = 'second' and entity = 'messages' and run.status = 'failed'"
        ).fetchall()
    assert (code, advanced) == ("legacy_replaced", False)
    assert run(world, "third", profile="daily").outcome.status == "succeeded"
    assert bodies(world)[0] == (1, "remark 1")

"""A database is away: in mid-run, and at the hour of the weekly run; or the table of ids is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hybrid_sync.schema.install import WORKER
from hybrid_sync_cli.stack import databases, home
from hybrid_sync_cli.stack.home import StateFile
from hybrid_sync_cli.stack.processes import Processes
from tests.drills.ground import NotWell
from tests.drills.places import commands
from tests.drills.play import Night

MINUTES = 10


@contextmanager
def away(side: str) -> Iterator[None]:
    """The server of that side does not run."""
    processes = Processes(home.directory())
    state = StateFile(processes.home / "keep.json")
    server = databases.cluster(side, processes, state, strict=True)
    server.stop()
    try:
        yield
    finally:
        server.ensure(state.get(f"{side}_port"))


def target_down(night: Night) -> None:
    """Ten minutes, from the moment on at which the run has written its first batch."""
    ground = night.ground
    ground.legacy("update dispatch_payment set custom_price = coalesce(custom_price, 0) + 1")
    run_id = ground.clock_strikes()
    ground.until_at_work(run_id)
    with away("target"):
        ground.minutes_pass(MINUTES)
    night.go_on(run_id)


def legacy_down(night: Night) -> None:
    """At Sunday 01:00, and for ten minutes more."""
    ground = night.ground
    ground.legacy("update dispatch_payment set custom_price = coalesce(custom_price, 0) + 1")
    with away("legacy"):
        run_id = ground.clock_strikes()
        ground.minutes_pass(MINUTES)
    night.go_on(run_id)


def connections_used_up(night: Night) -> None:
    """Others use all connections that the pooler has: the run waits for its turn, and page and mail say why."""
    ground = night.ground
    ground.legacy("update dispatch_payment set custom_price = coalesce(custom_price, 0) + 1")
    try:
        ground.target(_LIMITED.format(0))
        run_id = ground.clock_strikes()
        ground.minutes_pass(MINUTES)
    finally:
        ground.target(_LIMITED.format(-1))
    night.go_on(run_id)


_LIMITED = (
    f"alter role {WORKER} connection limit {{}};"
    f" select pg_terminate_backend(pid) from pg_stat_activity where usename = '{WORKER}'"
)


def id_map_deleted(night: Night) -> None:
    """Somebody has deleted the table of ids; what is in it is a cache."""
    ground = night.ground
    client, table = ground.stack.client("dynamodb"), ground.stack.outputs["IdMapTable"]
    client.delete_table(TableName=table)
    ground.legacy("update dispatch_payment set custom_price = coalesce(custom_price, 0) + 1")
    ground.clock_strikes()
    night.until_named()
    night.person()
    for where, said in commands([["repair"]]):
        if b"Made anew" not in said:
            raise NotWell(f"{where}: {said.decode()}")
    ground.carry()

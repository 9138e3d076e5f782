"""Legacy behind an address of several servers: a standby that lags never stands in for the primary unseen."""

from __future__ import annotations

import pytest

from hybrid_sync.contracts import Ref
from hybrid_sync.errors import LegacyUnavailable, TargetUnavailable
from hybrid_sync.postgres import connect, transaction
from hybrid_sync_cli.stack.postgres import Cluster
from tests.engine.conftest import Query
from tests.engine.test_timestamps import bodies, catalog, execute, follow
from tests.engine.test_timestamps import replica as replica
from tests.engine.test_timestamps import world as world
from tests.engine.worlds import EngineWorld, execution, functions_of, run
from tests.flow.conduct import conduct

READS = {
    "daily": ("plan_entity", "sync_batch", "verify_entity"),
    "weekly": ("plan_entity", "sync_batch", "reconcile_entity"),
}
"""Steps that read legacy."""


def led_elsewhere(world: EngineWorld, run_id: str, step: str, elsewhere: str, profile: str = "daily") -> None:
    """A run whose legacy address leads to another server from its first `step` on."""
    flow, functions = execution(world, run_id, profile=profile), functions_of(world)
    conduct(flow, functions, until=lambda delivery: delivery.function == step)
    usual, world.legacy_dsn = world.legacy_dsn, elsewhere
    conduct(flow, functions)
    world.legacy_dsn = usual


def failures(target: Query, run_id: str) -> set[str]:
    return {code for (code,) in target("select error from hybrid_sync.run_failure where run_id = %s", run_id)}


def status(target: Query, run_id: str) -> str:
    return str(target("select status from hybrid_sync.run where run_id = %s", run_id)[0][0])


def test_a_standby_that_answers_in_the_middle_of_a_run_costs_no_change(
    world: EngineWorld, own_legacy: Cluster, replica: Cluster, target: Query
) -> None:
    """Its rows are of the past: nothing would differ, and the fence would pass over what the primary has committed."""
    world.catalog = catalog(detect="commit_fence")
    world.legacy_dsn = own_legacy.dsn()
    assert run(world, "first", profile="daily").outcome.status == "succeeded"
    follow(own_legacy, replica)
    execute(replica.dsn(), "select pg_wal_replay_pause()")
    for profile, step in ((profile, step) for profile, steps in READS.items() for step in steps):
        name = f"{profile}-{step}"
        change = f"update note set body = '{name}' where id = 1; insert into note (body) values ('{name}')"
        execute(own_legacy.dsn(), change)
        led_elsewhere(world, name, step, replica.dsn(), profile)
        assert (name, status(target, name), "legacy_unavailable" in failures(target, name)) == (name, "failed", True)
        assert run(world, f"after-{name}", profile="daily").outcome.status == "succeeded"
        with world.connect_legacy() as legacy:
            assert bodies(target) == dict(legacy.execute("select id, body from note").fetchall())


def test_a_target_that_is_a_standby_is_called_one(replica: Cluster) -> None:
    with (
        connect(replica.dsn(), "target") as target,
        pytest.raises(TargetUnavailable, match="target is a standby, which takes no writes"),
        transaction(target, "target"),
    ):
        target.execute("create table written ()")


@pytest.fixture
def by_time(world: EngineWorld, own_legacy: Cluster, replica: Cluster) -> EngineWorld:
    """Legacy is the replica, and its notes are read by time."""
    world.catalog = catalog(lag_seconds=600)
    follow(own_legacy, replica)
    assert run(world, "first").outcome.status == "succeeded"
    return world


def test_a_replica_that_knows_less_than_the_one_that_the_run_was_planned_on_is_not_read(
    by_time: EngineWorld, target: Query
) -> None:
    flow, functions = execution(by_time, "second", profile="weekly"), functions_of(by_time)
    conduct(flow, functions, until=lambda delivery: delivery.function == "plan_entity")
    target("update hybrid_sync.run set fence = jsonb_set(fence, '{lsn}', '\"FFFF/0\"') where run_id = 'second'")
    conduct(flow, functions)
    assert status(target, "second") == "failed"
    assert "legacy_unavailable" in failures(target, "second")
    assert target("select run_id from hybrid_sync.fence") == [("first",)]


@pytest.mark.parametrize(
    "request_", [{"profile": "weekly"}, {"profile": "on_demand", "refs": (Ref(entity="notes", legacy_id=1),)}]
)
def test_a_replica_that_lags_behind_an_earlier_run_takes_nothing_back(
    by_time: EngineWorld, own_legacy: Cluster, replica: Cluster, target: Query, request_: dict[str, object]
) -> None:
    """The earlier one read the primary, or a replica that had replayed more."""
    execute(replica.dsn(), "select pg_wal_replay_pause()")
    execute(own_legacy.dsn(), "update note set body = 'new', updated_at = now() where id = 1")
    by_time.legacy_dsn = own_legacy.dsn()
    assert run(by_time, "second", profile="daily").outcome.status == "succeeded"
    by_time.legacy_dsn = replica.dsn()
    with pytest.raises(LegacyUnavailable, match="replayed less than an earlier run"):
        run(by_time, "third", **request_)
    assert bodies(target)[1] == "new"
    execute(replica.dsn(), "select pg_wal_replay_resume()")
    follow(own_legacy, replica)
    assert run(by_time, "fourth", **request_).outcome.status == "succeeded"
    assert bodies(target)[1] == "new"


def test_a_replica_that_is_promoted_in_the_middle_of_a_run_ends_it(
    by_time: EngineWorld, own_legacy: Cluster, replica: Cluster, target: Query
) -> None:
    flow, functions = execution(by_time, "second", profile="daily"), functions_of(by_time)
    conduct(flow, functions, until=lambda delivery: delivery.function == "plan_entity")
    execute(replica.dsn(), "select pg_promote(true, 60)")
    execute(replica.dsn(), "update note set body = 'after' where id = 1")
    conduct(flow, functions)
    assert (status(target, "second"), "legacy_replaced" in failures(target, "second")) == ("failed", True)
    assert run(by_time, "third", profile="daily").outcome.status == "succeeded"
    assert target("select detection_reason from hybrid_sync.run_entity where run_id = 'third'") == [("other_timeline",)]
    assert bodies(target)[1] == "after"

"""What happens to a deployment at work: a target that is read-only or has few connections, layers that are swapped."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from hybrid_sync.breaker.state import MOST_FAILURES, SIDES, Breaker
from hybrid_sync.breaker.store import BreakerStore
from hybrid_sync.schema.install import WORKER
from hybrid_sync_cli.stack import Stack
from tests.stack.swapping import swapped_catalog
from tests.stack.test_trace import emulated
from tests.stack.world import fill

REQUEST = {"profile": "daily", "entities": ["offices", "profiles", "payments"]}


@pytest.fixture
def stack(deployed: Stack) -> Stack:
    fill(deployed)
    return deployed


@contextmanager
def altered(dsn: str, role: str, on: str, off: str) -> Iterator[None]:
    """A role with other manners, for all its sessions."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        for word in (on, off):
            owner.execute(sql.SQL("alter role {} {}").format(sql.Identifier(role), sql.SQL(word)))
            owner.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", (role,))
            if word is on:
                yield


def store_of(stack: Stack) -> BreakerStore:
    return BreakerStore(stack.outputs["ControlTable"], stack.client("dynamodb"))


def forget_breakers(stack: Stack) -> None:
    for side in SIDES:
        store_of(stack).change(side, lambda _: Breaker())


def test_a_run_into_a_read_only_target_fails_and_the_next_one_makes_up_for_it(stack: Stack) -> None:
    with altered(
        stack.target_dsn, WORKER, "set default_transaction_read_only = on", "reset default_transaction_read_only"
    ):
        assert emulated(stack, "read-only", REQUEST).end[0] == "FAILED"
    with psycopg.connect(stack.target_dsn) as target:
        assert target.execute("select 1 from hybrid_sync.batch_done where run_id = 'read-only'").fetchall() == []
    assert emulated(stack, "writable", REQUEST).end == ("SUCCEEDED", "")


def test_a_run_fits_into_five_connections(stack: Stack) -> None:
    """None is kept by a frozen function, and whoever finds none free waits with retries of its own."""
    with altered(stack.target_dsn, WORKER, "connection limit 5", "connection limit -1"):
        assert emulated(stack, "five", {"profile": "weekly"}).end == ("SUCCEEDED", "")
        with psycopg.connect(stack.target_dsn) as target:
            left = target.execute("select count(*) from pg_stat_activity where usename = %s", (WORKER,)).fetchone()
    assert left is not None and left[0] < 5


def test_a_few_keys_go_by_rest_while_the_target_refuses_direct_connections_however_often(stack: Stack) -> None:
    keys = {"profile": "on_demand", "priority": "critical", "refs": [{"entity": "offices", "legacy_id": 1}]}
    with altered(stack.target_dsn, WORKER, "nologin", "login"):
        for n in range(MOST_FAILURES + 1):  # by then the breaker has opened
            assert emulated(stack, f"by-rest-{n}", keys).end == ("SUCCEEDED", "")
        held = store_of(stack).read()["target"]
        assert held.away_since is not None
    forget_breakers(stack)  # other tests use this stack, too
    assert emulated(stack, "direct-again", keys).end == ("SUCCEEDED", "")


def test_nobody_gets_into_its_target_without_tls(stack: Stack) -> None:
    assert stack.target_ca.startswith("-----BEGIN CERTIFICATE-----")
    for dsn in (stack.target_dsn, stack.worker_target_dsn):
        with pytest.raises(psycopg.OperationalError, match="no encryption"):
            psycopg.connect(make_conninfo(dsn, sslmode="disable"))
        with psycopg.connect(dsn) as verified:
            assert verified.info.pgconn.ssl_in_use


def test_a_catalog_layer_that_is_swapped_in_mid_run_is_not_seen_by_the_run(stack: Stack) -> None:
    assert emulated(stack, "before-the-swap", REQUEST).end == ("SUCCEEDED", "")
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(emulated, stack, "swapped", REQUEST)
        with swapped_catalog(stack, {"offices.yaml": ("name: o.name", "name: { lower: o.name }")}):
            assert run.result().end == ("SUCCEEDED", "")
    with psycopg.connect(stack.target_dsn) as target:
        hashes = "select distinct catalog_hash from hybrid_sync.run where run_id in ('before-the-swap', 'swapped')"
        assert len(target.execute(hashes).fetchall()) == 1

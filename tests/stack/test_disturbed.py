"""What happens to a deployment at work: its target turns read-only, or somebody swaps a layer under it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from hybrid_sync.contracts import RunRequest
from hybrid_sync.schema.install import WORKER, grant
from hybrid_sync_cli.execution import catalog_of_project, standing, start
from hybrid_sync_cli.sample import generate, marker
from hybrid_sync_cli.stack import Stack
from tests.stack.swapping import swapped_catalog
from tests.stack.test_trace import emulated

REQUEST = {"profile": "daily", "entities": ["offices", "profiles", "payments"]}


@pytest.fixture
def stack(deployed: Stack) -> Stack:
    """With a small world."""
    with psycopg.connect(deployed.legacy_dsn) as legacy:
        filled = marker.found(legacy, "legacy") is not None
    if not filled:
        generate(deployed.legacy_dsn, deployed.target_dsn, 0.001, seed=7)
    grant(deployed.target_dsn, catalog_of_project())
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


def test_a_run_into_a_read_only_target_fails_and_the_next_one_makes_up_for_it(stack: Stack) -> None:
    with altered(
        stack.target_dsn, WORKER, "set default_transaction_read_only = on", "reset default_transaction_read_only"
    ):
        assert emulated(stack, "read-only", REQUEST).end[0] == "FAILED"
    with psycopg.connect(stack.target_dsn) as target:
        assert target.execute("select 1 from hybrid_sync.batch_done where run_id = 'read-only'").fetchall() == []
    assert emulated(stack, "writable", REQUEST).end == ("SUCCEEDED", "")


def test_a_catalog_layer_that_is_swapped_in_mid_run_is_not_seen_by_the_run(stack: Stack) -> None:
    run = start(stack, RunRequest.model_validate(REQUEST | {"trigger": "test"}))
    with swapped_catalog(stack, {"offices.yaml": ("name: o.name", "name: { lower: o.name }")}):
        while standing(stack, run).running:
            time.sleep(0.1)
    with psycopg.connect(stack.target_dsn) as target:
        hashes = target.execute("select distinct catalog_hash from hybrid_sync.run").fetchall()
        [(status,)] = target.execute("select status from hybrid_sync.run where run_id = %s", (run.run_id,)).fetchall()
    assert (len(hashes), status) == (1, "succeeded")

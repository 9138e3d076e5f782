"""A command that asks a deployment makes one request, and loads nothing that only the deployment needs."""

from __future__ import annotations

import json

import pytest

from bench.cli import ASKING, of, output, watch
from hybrid_sync_cli.stack import Stack
from tests.checks.test_imports import OF_THE_DEPLOYMENT
from tests.stack.world import fill


@pytest.fixture(scope="module")
def run(deployed: Stack) -> str:
    """One that has ended."""
    fill(deployed)
    return str(json.loads(output(["sync", "--entity", "offices", "--json"]))["run_id"])


@pytest.mark.parametrize("asked", ASKING, ids=" ".join)
def test_it_asks_once_and_loads_little(asked: tuple[str, ...], run: str) -> None:
    seen = watch(of(asked, run))
    assert seen.requests == 1
    assert OF_THE_DEPLOYMENT & seen.modules == set()

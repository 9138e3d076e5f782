"""Interleavings and crashes by seed, on the emulator's DynamoDB; `make gate` plays a thousand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from hybrid_sync_cli.stack import home
from tests.contract import accounts
from tests.gate.emulator import emulator
from tests.gate.schedule import Outcome, Schedule
from tests.gate.table import control_table

SEEDS = range(6)


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Any]:
    with emulator(home.project_root()) as endpoint, accounts.account("ministack", lambda: endpoint):
        yield boto3.client("dynamodb")


def test_never_a_fourth_none_lost_none_twice_and_none_waits_for_nothing(dynamodb: Any) -> None:
    total = Outcome()
    for seed in SEEDS:
        with control_table(dynamodb, f"control-{seed}") as table:
            total = total.plus(Schedule(seed, dynamodb, table).play())
    assert total.started > len(SEEDS)
    assert total.killed
    assert total.merged
    assert total.by_hand

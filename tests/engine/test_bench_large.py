"""The large tables of the long benchmark run to their end: few rows of each, by the engine and by raw COPY."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.peers import catalog
from bench.peers.ground import Ground, ground
from bench.peers.long.big import EVENTS, MESSAGES, Big
from bench.peers.peer import Place
from bench.peers.tables import Table

ROWS = 2_000


@pytest.fixture(scope="module")
def small(session_home: Path) -> Iterator[Ground]:
    with ground(0.001) as made:
        yield made


@pytest.mark.parametrize("table", [MESSAGES, EVENTS], ids=lambda table: table.name)
def test_a_large_table_is_carried_by_the_engine_and_by_raw_copy(table: Table, small: Ground) -> None:
    like = Place("", "", small.folder, small.folder / "catalog", workers=2)
    catalog.write(like.catalog)
    big = Big.made(small, table, ROWS, like)
    try:
        # Each counts the rows that have arrived, and complains unless it is all of them.
        assert big.raw_copy().wall > 0
        assert big.first_load().told["calls"]["sync_batch"] >= 1
    finally:
        big.drop()

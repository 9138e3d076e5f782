"""A worker's memory is promised in MiB, whatever legacy holds: measured on a worker in a process of its own."""

from __future__ import annotations

import pytest

from bench.memory_shapes import ITEM_BYTES, SHAPES, Shape, carry
from tests.conftest import PASSWORD

# Nothing listens there: the id cache is a cache, and its absence costs a worker no memory.
NO_AWS = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1",
}  # fmt: skip


@pytest.mark.parametrize("shape", [s for s in SHAPES if s.entity == "docs"], ids=lambda shape: shape.name)
def test_a_worker_takes_no_more_memory_than_promised(shape: Shape, legacy_db: str, target_db: str) -> None:
    carried = carry(shape, legacy_db, target_db, NO_AWS, PASSWORD)
    assert carried.peak <= shape.limit
    assert carried.item < ITEM_BYTES
    assert carried.page <= 2 * carried.batch_size

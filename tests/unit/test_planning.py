"""Batches cover every changed bucket once, in order, and ids are minted alike for ever."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from hybrid_sync.ids.mint import minter
from hybrid_sync.legacy.fence import MAX_AGE, Fence, distrust
from hybrid_sync.steps.plan_entity import cut, runs_of

buckets = st.dictionaries(st.integers(-1000, 5000), st.integers(1, 500), max_size=60).map(lambda d: sorted(d.items()))


@given(buckets, st.integers(1, 6000))
def test_batches_hold_every_bucket_once_and_never_more_rows_than_asked(
    counts: list[tuple[int, int]], size: int
) -> None:
    rows = dict(counts)
    batches = list(cut(counts, size))
    assert [n for batch in batches for n in batch] == [n for n, _ in counts]
    assert all(sum(rows[n] for n in batch) <= size or len(batch) == 1 for batch in batches)


@given(st.sets(st.integers(-50, 50)).map(sorted))
def test_runs_are_the_same_numbers(numbers: list[int]) -> None:
    assert [n for first, last in runs_of(numbers) for n in range(first, last + 1)] == numbers


def test_an_id_depends_on_secret_entity_source_and_key_and_on_nothing_else() -> None:
    same = {minter(b"s", "people", "person")((7,)) for _ in range(3)}
    assert len(same) == 1
    others = {
        minter(b"t", "people", "person")((7,)), minter(b"s", "people", "human")((7,)),
        minter(b"s", "visits", "person")((7,)), minter(b"s", "people", "person")((8,)), *same,
    }  # fmt: skip
    assert len(others) == 5


@given(st.tuples(st.integers()) | st.tuples(st.integers(), st.integers()))
def test_an_id_is_a_uuid_of_version_8(key: tuple[int, ...]) -> None:
    made = uuid.UUID(bytes=minter(b"s", "people", "person")(key))
    assert (made.version, made.variant) == (8, uuid.RFC_4122)


def fence(**changed: object) -> Fence:
    usual = {"snapshot": "10:10:", "xmin": 1000, "xmax": 1000, "system_identifier": "1", "timeline": 1, "lsn": "0/1",
             "taken_at": "2026-01-01T00:00:00Z"}  # fmt: skip
    return Fence.model_validate(usual | changed)


def test_a_fence_is_trusted_only_on_its_own_server_and_within_its_age() -> None:
    now = fence(xmin=5000, xmax=5000)
    assert distrust(fence(), now) is None
    assert distrust(None, now) == "first_time"
    assert distrust(fence(system_identifier="2"), now) == "other_system"
    assert distrust(fence(timeline=2), now) == "other_timeline"
    assert distrust(fence(xmin=6000), now) == "future"
    assert distrust(fence(), fence(xmin=1001 + MAX_AGE, xmax=1001 + MAX_AGE)) == "too_old"


def test_an_xid_wraps_at_32_bits() -> None:
    assert fence(xmin=2**32 + 5).xid == "5"

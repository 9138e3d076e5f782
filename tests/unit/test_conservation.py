"""Two ascending streams of keys: what stands on one side only, whatever the streams are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hybrid_sync.verify.conservation import Difference, merged

KEYS = st.frozensets(st.tuples(st.integers(-3, 3), st.integers(-3, 3)))


@given(KEYS, KEYS)
def test_merging_finds_what_comparing_sets_finds(
    ours: frozenset[tuple[int, int]], theirs: frozenset[tuple[int, int]]
) -> None:
    expected = Difference(sorted(ours - theirs), sorted(theirs - ours))
    assert merged(iter(sorted(ours)), iter(sorted(theirs))) == expected

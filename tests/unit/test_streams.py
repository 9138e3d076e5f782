"""Two ascending streams of rows: what stands apart, whatever the streams are."""

from __future__ import annotations

from hybrid_sync.compare.streams import differing_lines
from hybrid_sync.contracts import Key
from tests.properties import given, st

ROWS = st.dictionaries(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), st.sampled_from("ab"))
NAMES = {(True, False): "ours", (False, True): "theirs", (True, True): "both"}


@given(ROWS, ROWS)
def test_streams_stand_apart_where_their_rows_differ(ours: dict[Key, str], theirs: dict[Key, str]) -> None:
    keys = sorted(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key))
    expected = [(key, NAMES[key in ours, key in theirs]) for key in keys]
    assert list(differing_lines(iter(sorted(ours.items())), iter(sorted(theirs.items())))) == expected


def test_a_key_that_one_side_repeats_stands_apart_once() -> None:
    ours = [((1,), "a"), ((2,), "a"), ((2,), "b"), ((2,), "c"), ((3,), "a")]
    theirs = [((1,), "a"), ((2,), "a"), ((3,), "a")]
    assert list(differing_lines(iter(ours), iter(theirs))) == [((2,), "ours")]

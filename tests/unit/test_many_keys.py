"""What is said of many keys at once is what `keys` says of each."""

from __future__ import annotations

import re

from hybrid_sync.keys import BUCKET, HIGHEST, LOWEST, Key, bucket_number, decode_key, encode_key, key_text
from hybrid_sync.many_keys import (
    all_parts,
    by_page,
    decode_keys,
    decode_parts,
    key_bytes,
    places,
    stretch_of,
)
from tests.properties import given, st

single = st.tuples(st.integers(LOWEST, HIGHEST))
pairs = st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**15), 2**15 - 1))


@given(st.lists(single), st.lists(pairs))
def test_keys_are_read_from_their_bytes(ones: list[Key], twos: list[Key]) -> None:
    for keys, widths in ((ones, (8,)), (twos, (4, 2))):
        fields = [encode_key(key, widths) for key in keys]
        assert decode_keys(fields, widths) == [decode_key(field) for field in fields] == keys
    assert decode_parts([encode_key(key, (8,))[4:] for key in ones]) == ones


@given(st.lists(single) | st.lists(pairs))
def test_keys_are_written_as_one_is(keys: list[Key]) -> None:
    assert key_bytes(keys) == [key_text(key).encode() for key in keys]


@given(
    st.sets(st.integers(-30, 30), min_size=1).map(sorted)
    | st.builds(lambda first, count: list(range(first, first + count)), st.integers(-30, 30), st.integers(1, 30))
    | st.just([LOWEST, *range(HIGHEST - 9, HIGHEST + 1)])
)
def test_an_array_of_keys_is_sent_as_its_stretches(numbers: list[int]) -> None:
    sent = all_parts([(n,) for n in numbers]).as_string(None)
    arrays = [list(map(int, text.split(","))) for text in re.findall(r"'{(.*?)}'", sent)]
    if len(arrays) == 1:
        assert arrays == [numbers]
        return
    begins, ends = arrays or [[int(n)] for n in re.findall(r"\( ?(-?\d+)\)::int8", sent)]
    assert [n for first, last in zip(begins, ends, strict=True) for n in range(first, last + 1)] == numbers
    assert 4 * len(begins) <= len(numbers)


@given(st.lists(single | pairs, unique=True))
def test_every_key_is_in_its_page_once(keys: list[Key]) -> None:
    pages, composite = by_page(keys, BUCKET)
    assert composite == [key for key in keys if len(key) > 1]
    assert sorted(key for page in pages.values() for key in page) == sorted(key for key in keys if len(key) == 1)
    for number, page in pages.items():
        assert {bucket_number(key) for key in page} == {number}
        assert [(number * BUCKET + place,) for place in places(page, BUCKET)] == page


@given(st.lists(single, unique=True).map(sorted))
def test_keys_in_order_are_cut_into_the_same_pages(keys: list[Key]) -> None:
    back = {page: some[::-1] for page, some in by_page(keys[::-1], BUCKET)[0].items()}
    assert by_page(keys, BUCKET) == (back, [])
    assert [key for page in by_page(keys, BUCKET)[0].values() for key in page] == keys


@given(st.sets(st.integers(-50, 50), min_size=1), st.integers(1, 6))
def test_a_stretch_holds_all_of_the_keys_and_few_others(numbers: set[int], step: int) -> None:
    keys = [(n * step,) for n in numbers]
    stretch = stretch_of(keys)
    if stretch is not None:
        assert stretch == (min(numbers) * step, max(numbers) * step)
        assert stretch[1] - stretch[0] < 4 * len(keys)
    assert stretch_of([(1, 2)] * 20) is None

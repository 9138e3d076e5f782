"""What the compiled library makes of rows, columns and pages is what Python makes of them, or it is left to Python."""

from __future__ import annotations

import platform
import struct
import sys
from collections.abc import Iterator
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.compiled import library
from hybrid_sync.compiled.library import ids_of, join_rows, slice_rows
from hybrid_sync.ids import pages
from hybrid_sync.ids.idmap import PAGE, WIDTH
from hybrid_sync.rows import columns, scan
from hybrid_sync.rows.columns import Rows, SplicedRows
from tests.properties import given, st

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="it is built for Linux, where Lambda runs")
NULL = b"\xff\xff\xff\xff"


def field(value: bytes | None) -> bytes:
    return NULL if value is None else struct.pack(">i", len(value)) + value


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """It is asked however few there are."""
    for module in (scan, columns, pages):
        monkeypatch.setattr(module, "_FEW", 0)
    yield


def without(name: str) -> Any:
    """Within it the library does not have the function."""
    patch = pytest.MonkeyPatch()
    patch.setattr(library, name, lambda: None)
    return patch


# --- rows into columns -----------------------------------------------------------------------------------------------

NUMBERS = st.integers(-(2**63), 2**63 - 1).map(lambda n: struct.pack(">q", n))
SOMETIMES = st.integers(0, 30).map(lambda n: n == 0)


@st.composite
def read_rows(draw: Any) -> tuple[int, list[bytes]]:
    """How many references, and rows of which most are plain; some are cut off."""
    references = draw(st.integers(0, 3))
    rows = []
    for _ in range(draw(st.integers(1, 12))):
        row = b"\0\x09" + field(draw(NUMBERS)) + (field(b"\0\x01") if draw(SOMETIMES) else NULL)
        for _ in range(references):
            row += NULL if draw(SOMETIMES) else field(draw(NUMBERS))
        row += draw(st.binary(max_size=20))
        rows.append(row[: draw(st.integers(0, len(row)))] if draw(SOMETIMES) else row)
    return references, rows


def sliced(references: int, rows: list[bytes]) -> tuple[list[int], list[Any]]:
    plan = SimpleNamespace(verdicts=(), references=[SimpleNamespace(parents=(1,))] * references, key_widths=(8,))
    into = Rows((8,), references)
    irregular = scan._Form(cast(ReadPlan, plan)).slice(rows, into)
    return irregular, [into.keys, into.references, into.tails]


@given(read_rows())
def test_a_page_is_sliced_the_same_with_and_without_it(read: tuple[int, list[bytes]]) -> None:
    with_it, patch = sliced(*read), without("slice_rows")
    try:
        assert with_it == sliced(*read)
    finally:
        patch.undo()


@given(read_rows())
def test_it_slices_plain_rows_alone(read: tuple[int, list[bytes]]) -> None:
    function = slice_rows()
    assert function is not None, "make environments builds it"
    references, rows = read
    irregular, (keys, by_reference, tails) = sliced(references, rows)
    shortest = 18 + 12 * references  # a row that is cut off in its last reference looks plain to Python
    plain = not irregular and min(map(len, rows)) >= shortest
    assert function(rows, 14, references) == ([keys, *by_reference, tails] if plain else None)


@pytest.mark.parametrize("cut", range(31))
def test_a_row_that_is_cut_off_is_left_to_python(cut: int) -> None:
    function = slice_rows()
    assert function is not None
    row = b"\0\x02" + field(b"12345678") + NULL + field(b"abcdefgh") + b"rest"
    whole = [[field(b"12345678")] * 2, [b"abcdefgh"] * 2, [b"rest"] * 2]
    assert function([row, row], 14, 1) == whole
    assert function([row, row[:cut]], 14, 1) == (None if cut < 30 else [*whole[:2], [b"rest", b""]])


@pytest.mark.parametrize(("key_end", "references"), [(1, 0), (-5, 0), (2**62, 1), (14, -1), (14, 65), (14, 2**61)])
def test_so_is_what_is_no_usual_row(key_end: int, references: int) -> None:
    function = slice_rows()
    assert function is not None
    assert function([b"x" * 100], key_end, references) is None


# --- columns into rows -----------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32), st.integers(1, 5), st.sampled_from([0, 1, 40, 3000]), st.sampled_from([3, 300, 200_000]))
def test_rows_are_joined_the_same_with_and_without_it(seed: int, width: int, count: int, most: int) -> None:
    drawn = Random(seed)
    made = [[drawn.randbytes(min(drawn.randrange(20), most)) for _ in range(count)] for _ in range(width)]
    if count:
        made[-1][drawn.randrange(count)] = drawn.randbytes(most)
    rows = SplicedRows([b"key"] * count, b"head", made, width - 1)
    with_it, patch = list(rows.chunks()), without("join_rows")
    try:
        assert b"".join(with_it) == b"".join(rows.chunks())
    finally:
        patch.undo()
    assert all(len(chunk) <= max(columns._CHUNK_BYTES, most + 100) for chunk in with_it)


def test_as_many_rows_are_joined_as_there_is_room_for() -> None:
    function = join_rows()
    assert function is not None
    made = [[b"a" * 10, b"", b"b", b"c" * 5], [b"1", b"2", b"3", b""]]
    assert function(b"h", made, 0, 15) == [b"h" + b"a" * 10 + b"1" + b"h2", 2]
    assert function(b"h", made, 2, 8) == [b"hb3", 3]
    assert function(b"h", made, 2, 9) == [b"hb3h" + b"c" * 5, 4]
    assert function(b"h", made, 0, 1) == [b"h" + b"a" * 10 + b"1", 1]
    assert function(b"h", made, 4, 100) == [b"", 4]


def test_more_columns_than_usual_are_left_to_python() -> None:
    function = join_rows()
    assert function is not None
    wide = [[b"x"]] * 65
    assert function(b"", wide, 0, 1000) is None
    assert function(b"", [], 0, 1000) is None
    assert function(b"", [[b"x"]], -1, 1000) is None
    assert b"".join(SplicedRows([b"key"], b"h", wide, 0).chunks())[19:-2] == b"h" + b"x" * 65


def test_columns_that_do_not_fit_together_are_an_error() -> None:
    function = join_rows()
    assert function is not None
    for made in ([[b"x", b"y"], [b"x"]], [[b"x"], None], [["x"]]):
        with pytest.raises((IndexError, SystemError, TypeError)):
            function(b"h", cast(Any, made), 0, 1000)


# --- ids out of pages ------------------------------------------------------------------------------------------------


LAST = 2**63 // PAGE - 1
"""The number of the last page of which a bigint has all."""


@given(st.integers(0, 2**32), st.sampled_from([0, -3, 10**12, LAST - 7, -LAST]), st.integers(1, 4))
def test_ids_are_found_the_same_with_and_without_it(seed: int, first: int, held: int) -> None:
    drawn = Random(seed)
    there = dict[int, bytes]()
    for _ in range(held):
        ids = b"".join(drawn.randbytes(WIDTH) if drawn.randrange(4) else bytes(WIDTH) for _ in range(PAGE))
        there[first + drawn.randrange(2 * held)] = ids if drawn.randrange(9) else ids[WIDTH:]
    around = (drawn.randrange((first - 1) * PAGE, (first + 8) * PAGE) for _ in range(300))
    wanted = {struct.pack(">q", number) for number in around if -(2**63) <= number < 2**63}
    with_it, patch = pages.ids_in_pages(wanted, there), without("ids_of")
    try:
        assert with_it == pages.ids_in_pages(wanted, there)
    finally:
        patch.undo()


def test_what_is_no_integer_of_8_bytes_is_left_to_python() -> None:
    function = ids_of()
    assert function is not None
    page = b"x" * (PAGE * WIDTH)
    assert function([struct.pack(">q", 499)], [page], 0, PAGE) == [b"x" * WIDTH]
    assert function([struct.pack(">q", 500), struct.pack(">q", -1)], [page, None], 0, PAGE) == [b"", b""]
    assert function([b"1234567"], [page], 0, PAGE) is None
    for first, size in ((0, 0), (0, -1), (0, 2**17), (2**63 - 1, PAGE), (-(2**63), PAGE)):
        assert function([struct.pack(">q", 1)], [page], first, size) is None
    with pytest.raises(TypeError):
        function(cast(Any, ["12345678"]), [page], 0, PAGE)
    with pytest.raises(TypeError):
        function([struct.pack(">q", 1)], cast(Any, ["page"]), 0, PAGE)


def test_they_keep_and_lose_no_memory() -> None:
    slicing, joining, finding = slice_rows(), join_rows(), ids_of()
    assert slicing and joining and finding
    row = b"\0\x02" + field(b"12345678") + NULL + field(b"abcdefgh") + b"rest"
    names, page = [struct.pack(">q", n) for n in range(PAGE)], b"x" * (PAGE * WIDTH)

    def all_of_them() -> None:
        made = slicing([row] * 500, 14, 1)
        slicing([row] * 500 + [row[:20]], 14, 1)
        assert made
        joining(b"h", made, 0, 9000)
        finding(names, [page, None], 0, PAGE)
        finding([*names, b"x"], [page], 0, PAGE)

    all_of_them()
    before, counts = sys.getallocatedblocks(), [sys.getrefcount(one) for one in (row, page, None)][:2]
    for _ in range(50):
        all_of_them()
    assert sys.getallocatedblocks() - before < 500
    assert [sys.getrefcount(one) for one in (row, page)] == counts

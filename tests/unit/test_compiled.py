"""What the compiled library lets pass Python lets pass, with the same bytes; what it does not judge Python does."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import platform
import struct
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from psycopg import sql

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.json_text import as_jsonb
from hybrid_sync.compiled import library
from hybrid_sync.compiled.library import LIBRARY, json_tails
from hybrid_sync.rows.scan import Scanned, scan
from tests.properties import given, st

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="it is built for Linux, where Lambda runs")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text() | st.floats(allow_nan=False)
    | st.decimals(allow_nan=False, allow_infinity=False, places=6).map(float),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
STYLES = st.sampled_from(
    [
        {"ensure_ascii": True}, {"ensure_ascii": False}, {"indent": 1}, {"separators": (",", ":")},
        {"ensure_ascii": False, "indent": "\t"},
    ]
)  # fmt: skip
TEXTS = st.builds(lambda value, style: json.dumps(value, **style).encode("utf-8", "surrogatepass"), VALUES, STYLES)
EDGES = (
    *b' \t\n\r\x0b\0"\\/{}[]:,.-+0123456789eEuUtfn', *b"\x1f\x7f\x80\xbf\xc0\xc2\xe0\xed\xef\xf0\xf4\xf5",
)  # fmt: skip
PAGE = mmap.PAGESIZE


def field(value: bytes | None) -> bytes:
    return b"\xff\xff\xff\xff" if value is None else struct.pack(">i", len(value)) + value


def compiled(tails: list[bytes], columns: int = 1) -> list[bytes | None]:
    function = json_tails()
    assert function is not None, "make environments builds it"
    return function(tails, columns)


def passed(text: bytes) -> bool:
    """Whether it is let pass; if so, its bytes are those that Python makes of it."""
    [tail] = compiled([field(text) + b"rest"])
    assert tail is None or tail == field(as_jsonb(text)) + b"rest"
    return tail is not None


@given(TEXTS, st.integers(0, 2**32))
def test_what_passes_python_takes_too_with_the_same_bytes(text: bytes, seed: int) -> None:
    passed(text)
    drawn, spoiled = Random(seed), bytearray(text)
    for _ in range(drawn.randrange(1, 4)):
        at = drawn.randrange(len(spoiled) + 1)
        spoiled[at : at + drawn.randrange(3)] = bytes(drawn.choice(EDGES) for _ in range(drawn.randrange(3)))
        passed(bytes(spoiled))


ESCAPED = st.sampled_from(["\\", "u", "d", "D", "8", "c", "0", "F", "b", "n", "x", '"', "e", "é"])


@given(st.lists(ESCAPED, max_size=16).map("".join))
def test_so_does_every_escape(inner: str) -> None:
    passed(f'"{inner}"'.encode())


@given(st.binary(max_size=6))
def test_so_does_every_character(inner: bytes) -> None:
    passed(b'"' + inner + b'"')


@given(st.text("0123456789.-+eE", max_size=8))
def test_so_does_every_number(text: str) -> None:
    passed(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "b": [true, false, null], "c": {"a": "x"}, "d": {"a": "x"}}', b" [ ] ", b"{}", b'""', b"0", b"-0.50",
        '"é € 😀 \x7f"'.encode(), b'"\\u00e9\\ud83d\\ude00\\uFFFF"', b'"\\"\\\\\\/\\b\\f\\n\\r\\t"', b"[[[[1]]]]",
        b'{"": 0}', b"1" * 1000, b"[" * 32 + b"]" * 32,
    ],
)  # fmt: skip
def test_usual_json_passes(text: bytes) -> None:
    assert passed(text)


@pytest.mark.parametrize(
    "text",
    [b"1e3", b"2E+5", b"1" * 1001, b'{"\\u0061": 1}', b"[" * 33 + b"]" * 33,
     json.dumps({str(n): n for n in range(257)}).encode()],
)  # fmt: skip
def test_python_decides_on_the_unusual(text: bytes) -> None:
    assert not passed(text)
    assert as_jsonb(text)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 2}', b'{"b": {"a": 1, "c": 2, "a": 3}}', b'"\\u0000"', b'"\\ud800"',
        b'"\\udc00\\ud800"', b'"\\ud800\\n"',
        b'"\n"', b"'a'", b"NaN", b"-Infinity", b"01", b"1.", b".5", b"-", b"+1", b"[1,]", b'{"a":1,}', b"[1 2]",
        b'{"a" 1}',
        b"{1: 2}", b"[", b"]", b'"', b'"\\', b'"\\u00', b"", b" ", b"1 2", b"nul", b"\xef\xbb\xbf1", b'"\xed\xa0\x80"',
        b'"\xc0\x80"', b'"\xf4\x90\x80\x80"', b'"\x80"', b'"\xe2\x82"', b"1e-20000",
    ],
)  # fmt: skip
def test_what_jsonb_cannot_hold_never_passes(text: bytes) -> None:
    assert not passed(text)
    with pytest.raises(ValueError, match="bad_json"):
        as_jsonb(text)


def test_a_row_passes_with_all_its_columns_or_not_at_all() -> None:
    good, bad, rest = field(b"[1]"), field(b"[1"), field(b"other") + field(None)
    ready = field(b"\x01[1]")
    assert compiled([good + field(None) + good + rest], 3) == [ready + field(None) + ready + rest]
    assert compiled([good + bad + rest, field(None) * 2 + rest, bad + good], 2) == [None, field(None) * 2 + rest, None]
    assert compiled([good + rest], 0) == [good + rest]
    assert compiled([], 1) == []


@pytest.mark.parametrize(
    "tail", [b"", b"\0\0\0", b"\0\0\0\x05[1]", b"\xff\xff\xff\xfe[1]", b"\x7f\xff\xff\xff[1]", field(b"[1]")[:-1]]
)
def test_a_row_that_is_cut_off_never_passes(tail: bytes) -> None:
    assert compiled([tail]) == [None]
    assert compiled([field(b"1") + tail], 2) == [None]


def test_no_byte_behind_a_text_is_read() -> None:
    """Each text ends where the memory does: to read one byte more would end the process."""
    done = subprocess.run([sys.executable, "-c", _AT_THE_END], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "20000\n"), done.stderr


_AT_THE_END = f"""
import ctypes, json, mmap
from random import Random
library, drawn = ctypes.CDLL({str(LIBRARY)!r}), Random(1)
libc = ctypes.CDLL(None)
libc.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
library.plain_json.argtypes = ctypes.c_void_p, ctypes.c_size_t
pages = mmap.mmap(-1, 2 * {PAGE})
begin = ctypes.addressof(ctypes.c_char.from_buffer(pages))
assert libc.mprotect(begin + {PAGE}, {PAGE}, 0) == 0
whole = json.dumps({{"a": [1.25, -3, None, True, False, "é\\n\\U0001f600"], "b": {{"c": ["x" * 9]}}}}).encode()
whole += '"é € \\U0001f600"'.encode()
for n in range(20000):
    first = drawn.randrange(len(whole))
    text = bytearray(whole[first : drawn.randrange(first, len(whole)) + 1])
    if n % 2:
        text[drawn.randrange(len(text))] = drawn.randrange(256)
    pages[{PAGE} - len(text) : {PAGE}] = bytes(text)
    library.plain_json(begin + {PAGE} - len(text), len(text))
print(n + 1)
"""


def test_it_keeps_and_loses_no_memory() -> None:
    tails = [field(b"[1]") + b"rest", field(b"[1") + b"rest"] * 500
    compiled(tails)
    before, counts = sys.getallocatedblocks(), [sys.getrefcount(tail) for tail in tails[:2]]
    for _ in range(50):
        compiled(tails)
    assert sys.getallocatedblocks() - before < 500
    assert [sys.getrefcount(tail) for tail in tails[:2]] == counts


def test_what_is_no_list_of_bytes_is_an_error_as_in_python() -> None:
    with pytest.raises(TypeError):
        compiled(["text"])  # type: ignore[list-item]
    with pytest.raises((SystemError, TypeError)):
        compiled((b"",))  # type: ignore[arg-type]
    with pytest.raises(ctypes.ArgumentError):
        compiled([], "1")  # type: ignore[arg-type]


EMPTY = sql.SQL("").format()
MESSAGES = ReadPlan(
    "messages", "message", EMPTY, EMPTY, ("legacy_id",), (sql.SQL("t.id"),), (8,), (), EMPTY, EMPTY, (),
    {"context": as_jsonb, "extra": as_jsonb}, ("note",),
)  # fmt: skip


@given(st.lists(st.tuples(TEXTS | st.none() | st.just(b"{"), TEXTS | st.none()), max_size=8))
def test_a_page_is_the_same_with_and_without_it(rows: list[tuple[bytes | None, bytes | None]]) -> None:
    head = struct.pack(">h", 5)
    read = [
        head + field(struct.pack(">q", n)) + field(None) + field(context) + field(extra) + field(b"note")
        for n, (context, extra) in enumerate(rows)
    ]
    with_it, alone = scan(MESSAGES, read), _without_it(read)
    assert (with_it.rows.keys, with_it.rows.tails) == (alone.rows.keys, alone.rows.tails)
    assert with_it.rejected == alone.rejected


def _without_it(read: list[bytes]) -> Scanned:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "json_tails", lambda: None)
        return scan(MESSAGES, read)


@pytest.mark.parametrize(("machine", "number"), [("aarch64", 183), ("x86_64", 62)])
def test_it_is_built_for_both_processors_on_any_machine(machine: str, number: int, tmp_path: Path) -> None:
    command = ["make", "--silent", "-C", "layers/engine", "compiled", f"MACHINE={machine}", f"INTO={tmp_path}"]
    tools = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    subprocess.run(command, env=os.environ | {"PATH": tools}, check=True)
    header = (tmp_path / LIBRARY.name).read_bytes()[:20]
    assert int.from_bytes(header[18:20], "little") == number

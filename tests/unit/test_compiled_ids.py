"""The compiled library mints the ids that Python mints, or leaves them to Python."""

from __future__ import annotations

import hashlib
import hmac
import platform
import sys
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from hybrid_sync.compiled import library
from hybrid_sync.compiled.library import mint_ids
from hybrid_sync.ids.mint import minter
from hybrid_sync.keys import HIGHEST, LOWEST, Key
from tests.properties import given, st

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="it is built for Linux, where Lambda runs")
PARTS = st.integers(LOWEST, HIGHEST) | st.integers(-1000, 1000)
KEYS = st.integers(0, 4).flatmap(lambda width: st.lists(st.tuples(*[PARTS] * width), max_size=40))
INNER, OUTER = b"\x36" * 64, b"\x5c" * 64


def compiled(keys: Any, *begins: Any, first: Any = -1) -> list[bytes] | None:
    function = mint_ids()
    assert function is not None, "make environments builds it"
    return function(keys, *(begins or (INNER, OUTER, b"people\0person\0")), first)


def by_definition(secret: bytes, beginning: bytes, key: Sequence[int]) -> bytes:
    digest = hmac.new(secret, beginning + ",".join(map(str, key)).encode(), hashlib.sha256).digest()
    bits = int.from_bytes(digest[:16], "big") & ~(0xF << 76) & ~(0x3 << 62)
    return uuid.UUID(int=bits | 0x8 << 76 | 0x2 << 62).bytes


@given(st.binary(max_size=64), st.binary(max_size=300), KEYS)
def test_each_id_is_the_hmac_of_its_key(secret: bytes, beginning: bytes, keys: list[Key]) -> None:
    padded = secret.ljust(64, b"\0")
    begins = bytes(byte ^ 0x36 for byte in padded), bytes(byte ^ 0x5C for byte in padded), beginning
    assert compiled(keys, *begins) == [by_definition(secret, beginning, key) for key in keys]


@given(KEYS, st.integers(0, 2**40 - 1))
def test_ids_in_order_begin_with_their_key_and_what_it_counts_from(keys: list[Key], first: int) -> None:
    made = compiled(keys, first=first)
    assert made is not None
    for key, one, other in zip(keys, made, compiled(keys) or [], strict=True):
        ordered = ((first + key[0]) % 2**40).to_bytes(5, "big") if len(key) == 1 else other[:5]
        assert one == ordered + other[5:]


@pytest.mark.parametrize("length", [*range(140), 1023, 1024])
def test_so_it_is_behind_a_beginning_of_any_length_for_texts_that_end_in_one_block_or_another(length: int) -> None:
    keys = (
        [(10**digits,) for digits in range(19)] + [(-(10**digits),) for digits in range(19)] + [(LOWEST,), (HIGHEST,)]
    )
    beginning = bytes(range(256)) * 4
    assert compiled(keys, INNER, OUTER, beginning[:length]) == [by_definition(b"", beginning[:length], k) for k in keys]
    wide = [(first, LOWEST, -1, HIGHEST) for (first,) in keys]
    assert compiled(wide, INNER, OUTER, beginning[:length]) == [by_definition(b"", beginning[:length], k) for k in wide]


@pytest.mark.parametrize(
    "keys",
    [
        [(1, 2, 3, 4, 5)], [(1,), (1, 2)], [(1, 2), (1,)], [(HIGHEST + 1,)], [(LOWEST - 1,)], [(1.0,)], [("1",)],
        [(None,)], [1], [[1]], [None], [(1,)] * 20 + [(1, 2)],
    ],
)  # fmt: skip
def test_python_decides_on_what_is_no_usual_key(keys: Any) -> None:
    assert compiled(keys) is None


def test_and_on_what_a_message_does_not_usually_begin_with() -> None:
    assert compiled([(1,)], INNER, OUTER, b"x" * 1025) is None
    assert compiled([(1,)], INNER[1:], OUTER, b"") is None
    assert compiled([(1,)], INNER, OUTER + b"x", b"") is None


def test_what_is_no_list_or_no_bytes_is_an_error() -> None:
    with pytest.raises((SystemError, TypeError)):
        compiled(((1,),))
    for begins in (("text", OUTER, b""), (INNER, None, b""), (INNER, OUTER, "text")):
        with pytest.raises(TypeError):
            compiled([(1,)], *begins)


class Emptying:
    """A number that empties the list in which its key is when it is asked for its value."""

    def __init__(self, keys: list[Any]) -> None:
        self.keys = keys

    def __index__(self) -> int:
        self.keys.clear()
        return 7


def test_a_list_that_is_emptied_meanwhile_is_left_to_python() -> None:
    keys: list[Any] = [(n,) for n in range(20)]
    keys[3] = (Emptying(keys), 1)
    keys[0] = (0, 0)
    assert compiled(keys) is None


def test_it_keeps_and_loses_no_memory() -> None:
    keys = [(n,) for n in range(1000)]
    spoiled: list[Any] = [*keys, (None,)]
    compiled(keys)
    before, counts = sys.getallocatedblocks(), [sys.getrefcount(key) for key in keys[:20]]
    for _ in range(50):
        compiled(keys)
        compiled(spoiled)
    assert sys.getallocatedblocks() - before < 500
    assert [sys.getrefcount(key) for key in keys[:20]] == counts


# --- the minter's use of it --------------------------------------------------------------------------------------

MANY: list[Key] = [(n,) for n in range(-50, 3000)]
SECRET = b"secret"


def _alone(monkeypatch: pytest.MonkeyPatch, instead: Callable[..., Any] | None, secret: bytes = SECRET) -> list[bytes]:
    """Ids of MANY with another function, or with none, in the library's place."""
    monkeypatch.setattr(library, "mint_ids", lambda: instead)
    return minter(secret, "people", "person")(MANY)


def test_ids_are_the_same_with_and_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    function = mint_ids()
    assert function is not None

    def counting(keys: list[Key], *begins: Any) -> list[bytes] | None:
        asked.append(len(keys))
        return function(keys, *begins)

    with_it, without = _alone(monkeypatch, counting), _alone(monkeypatch, None)
    assert asked == [len(MANY)]
    assert with_it == without == [by_definition(SECRET, b"people\0person\0", key) for key in MANY]
    assert minter(SECRET, "people", "person")(tuple(MANY)) == without


def test_ids_in_order_are_the_same_with_and_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = b"ordered:" + SECRET
    with_it, without = _alone(monkeypatch, mint_ids(), secret), _alone(monkeypatch, None, secret)
    assert with_it == without
    assert len({one[:5] for one in with_it}) == len(MANY)


def test_a_library_that_mints_other_ids_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = _alone(monkeypatch, lambda keys, *begins: [bytes(16)] * len(keys))
    assert wrong == _alone(monkeypatch, None)


def test_few_ids_load_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "mint_ids", lambda: pytest.fail("it was asked"))
    assert len(minter(SECRET, "people", "person")(MANY[:64])) == 64

"""The compiled library, where it was built for this machine."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, cast

LIBRARY = Path(__file__).with_name("rows.so")
JsonTails = Callable[[list[bytes], int], list[bytes | None]]
MintIds = Callable[[list[tuple[int, ...]], bytes, bytes, bytes, int], list[bytes] | None]

SliceRows = Callable[[list[bytes], int, int], list[list[bytes]] | None]
JoinRows = Callable[[bytes, list[list[bytes]], int, int], list[Any] | None]

IdsOf = Callable[[list[bytes], list[bytes | None], int, int], list[bytes] | None]


def json_tails() -> JsonTails | None:
    """A function from tails, each of which begins with so many JSON fields, to the same with jsonb's; None for those
    that Python has to look at.  There is none where nothing was built, or for another machine.
    """
    return cast(JsonTails | None, _function("json_tails", ctypes.py_object, ctypes.c_ssize_t))


def mint_ids() -> MintIds | None:
    """A function from keys, HMAC's two padded secrets, what each message begins with, and what ids in order count from
    (-1: none) to the keys' UUIDs; its answer is None where Python has to mint them.  There is none under the same
    conditions.
    """
    return cast(MintIds | None, _function("mint_ids", *(ctypes.py_object,) * 4, ctypes.c_int64))


def slice_rows() -> SliceRows | None:
    """A function from rows, where their keys end, and how many references follow the verdict, to the columns of keys,
    references and tails; its answer is None where some row is not plain.  There is none under the same conditions.
    """
    return cast(SliceRows | None, _function("slice_rows", ctypes.py_object, ctypes.c_ssize_t, ctypes.c_ssize_t))


def join_rows() -> JoinRows | None:
    """A function from what each row begins with, its columns, the first row and so many bytes to the rows that fit into
    these (at least one), as bytes, and the number of the first one behind them; its answer is None where Python has to
    join them.  There is none under the same conditions.
    """
    takes = ctypes.py_object, ctypes.py_object, ctypes.c_ssize_t, ctypes.c_ssize_t
    return cast(JoinRows | None, _function("join_rows", *takes))


def ids_of() -> IdsOf | None:
    """A function from integers of 8 bytes each, pages that follow each other, the first one's number, and how many ids
    a page has to the integers' ids, empty where none is known; its answer is None where Python has to look.  There is
    none under the same conditions.
    """
    takes = ctypes.py_object, ctypes.py_object, ctypes.c_int64, ctypes.c_int64
    return cast(IdsOf | None, _function("ids_of", *takes))


@cache
def _function(name: str, *takes: Any) -> object:
    try:
        function = getattr(ctypes.PyDLL(str(LIBRARY)), name)
    except (OSError, AttributeError):
        return None
    function.argtypes, function.restype = takes, ctypes.py_object
    return function

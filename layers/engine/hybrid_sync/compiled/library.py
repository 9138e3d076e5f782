"""The compiled library, where it was built for this machine."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, cast

LIBRARY = Path(__file__).with_name("rows.so")
JsonTails = Callable[[list[bytes], int], list[bytes | None]]
MintIds = Callable[[list[tuple[int, ...]], bytes, bytes, bytes], list[bytes] | None]


def json_tails() -> JsonTails | None:
    """A function from tails, each of which begins with so many JSON fields, to the same with jsonb's; None for those
    that Python has to look at.  There is none where nothing was built, or for another machine.
    """
    return cast(JsonTails | None, _function("json_tails", ctypes.py_object, ctypes.c_ssize_t))


def mint_ids() -> MintIds | None:
    """A function from keys, HMAC's two padded secrets and what each message begins with to the keys' UUIDs; its answer
    is None where Python has to mint them.  There is none under the same conditions.
    """
    return cast(MintIds | None, _function("mint_ids", *(ctypes.py_object,) * 4))


@cache
def _function(name: str, *takes: Any) -> object:
    try:
        function = getattr(ctypes.PyDLL(str(LIBRARY)), name)
    except (OSError, AttributeError):
        return None
    function.argtypes, function.restype = takes, ctypes.py_object
    return function

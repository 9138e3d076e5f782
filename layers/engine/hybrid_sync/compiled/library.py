"""The compiled library, where it was built for this machine."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import cast

LIBRARY = Path(__file__).with_name("rows.so")
JsonTails = Callable[[list[bytes], int], list[bytes | None]]


@cache
def json_tails() -> JsonTails | None:
    """A function from tails, each of which begins with so many JSON fields, to the same with jsonb's; None for those
    that Python has to look at.  There is none where nothing was built, or for another machine.
    """
    try:
        function = ctypes.PyDLL(str(LIBRARY)).json_tails
    except OSError:
        return None
    function.argtypes, function.restype = (ctypes.py_object, ctypes.c_ssize_t), ctypes.py_object
    return cast(JsonTails, function)

"""Text that must be JSON, which PostgreSQL would refuse only when it arrives: strict JSON as jsonb takes it."""

from __future__ import annotations

import json
import math
from typing import NoReturn

_VERSION = b"\x01"
"""Of jsonb's binary form: this byte, then the text."""
_DECIMALS = 16_383


def _refuse(_: str) -> NoReturn:
    raise ValueError


def _number(text: str) -> float:
    value = float(text)
    # jsonb keeps numbers as numeric: far wider than a double, yet beyond 16,383 decimals it rounds without a word.
    digits, _, power = text.lower().partition("e")
    if math.isinf(value) and int(power or 0) > 100_000:
        raise ValueError
    if len(digits.partition(".")[2]) - int(power or 0) > _DECIMALS:
        raise ValueError
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):  # jsonb would keep the last one, and drop the others without a word
        raise ValueError
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse, parse_float=_number)


def as_jsonb(text: bytes) -> bytes:
    """The text in jsonb's binary form; ValueError("bad_json") where it is not strict JSON, or holds what jsonb cannot
    (NUL, a lone surrogate, a name twice in one object).  Never evaluates, repairs or guesses.
    """
    try:
        value = _decoded(text.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ValueError("bad_json") from None
    if b"\\u" in text and not _storable(value):
        raise ValueError("bad_json")
    return _VERSION + text


def _decoded(text: str) -> object:
    """What the decoder answers; without its two looks for blanks around the value, where there are none."""
    try:
        value, end = _DECODER.raw_decode(text)
    except json.JSONDecodeError:  # blanks before it, or no JSON
        return _DECODER.decode(text)
    return value if end == len(text) else _DECODER.decode(text)


def _storable(value: object) -> bool:
    """Whether every string inside can be stored as UTF-8 text without NUL."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, str):
            if "\x00" in item:
                return False
            try:
                item.encode("utf-8")
            except UnicodeEncodeError:
                return False
    return True

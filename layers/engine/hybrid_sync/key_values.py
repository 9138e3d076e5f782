"""A legacy key as a value: one integer, or several in the catalog's order; its bucket, its texts, and its bytes in a
binary COPY.

`keys` says the same in SQL.  Messages are made of keys, and whoever only sends them needs no database driver.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field

LOWEST, HIGHEST = -(2**63), 2**63 - 1
"""The ends of bigint."""
KeyPart = Annotated[int, Field(strict=True, ge=LOWEST, le=HIGHEST)]
"""A bigint, which no other number passes for."""
Key = tuple[KeyPart, ...]
"""A legacy key: one integer, or the parts of a composite key in catalog order."""
BUCKET = 500
"""Consecutive legacy integers in one lock bucket and one id-map page; 1,000 and 5,000 are whole numbers of it."""
MOST_KEYS = 200  # rows of one transaction, parents included: tenths of a second under locks, and more gain nothing

_LENGTH = struct.Struct(">i")


def _digits(value: object) -> object:
    """An integer as a caller writes it: digits in a text count; a fraction, an exponent and `true` do not."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
        return int(value)
    return value


GivenPart = Annotated[
    KeyPart,
    BeforeValidator(_digits, json_schema_input_type=KeyPart | Annotated[str, Field(pattern="^-?[0-9]{1,19}$")]),
]
"""A key's part from outside."""


def single(key: Key) -> int | None:
    """The integer of a key of one part; None for a composite one."""
    return key[0] if len(key) == 1 else None


def key_text(key: Sequence[int]) -> str:
    """The key as people and other systems read it: its parts with commas between them."""
    return ",".join(map(str, key))


def key_of_texts(texts: Iterable[str]) -> Key:
    """The key whose parts a text COPY has sent."""
    return tuple(map(int, texts))


def key_texts(keys: Iterable[Key]) -> list[str]:
    """Keys of any width as the texts of their arrays."""
    return [f"{{{key_text(key)}}}" for key in keys]


# --- buckets ---------------------------------------------------------------------------------------------------------


def first_part(key: Key) -> int:
    """The part by which keys are cut into ranges."""
    return key[0]


def bucket_number(key: Key) -> int:
    """The number of the key's bucket: floor division, for negative integers too."""
    return key[0] // BUCKET


def bucket_numbers(keys: Iterable[Key]) -> list[int]:
    """The buckets of these keys, each once and in order."""
    return sorted({bucket_number(key) for key in keys})


def span(lo: int, hi: int) -> tuple[int, int]:
    """The first and the last key of the buckets `lo` to before `hi`, both within bigint."""
    return max(lo * BUCKET, LOWEST), min(hi * BUCKET - 1, HIGHEST)


# --- bytes of a binary COPY ------------------------------------------------------------------------------------------


def decode_key(fields: bytes) -> Key:
    """The key whose parts are these fields, each behind its length."""
    parts: list[int] = []
    at = 0
    while at < len(fields):
        width = _LENGTH.unpack_from(fields, at)[0]
        parts.append(decode_part(fields[at + 4 : at + 4 + width]))
        at += 4 + width
    return tuple(parts)


def decode_part(field: bytes) -> int:
    """One part, without its length."""
    return int.from_bytes(field, "big", signed=True)


def encode_key(key: Key, widths: Sequence[int]) -> bytes:
    """The inverse of `decode_key`; each part has its width."""
    return b"".join(
        _LENGTH.pack(width) + part.to_bytes(width, "big", signed=True) for part, width in zip(key, widths, strict=True)
    )

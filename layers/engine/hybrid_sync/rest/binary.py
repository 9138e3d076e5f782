"""Binary COPY read: each field as a text from which its type reads the very same value."""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Callable, Iterator

from hybrid_sync import pgtypes
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.pgtypes import PgType

HEADER = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
TRAILER = b"\xff\xff"
_INT2, _INT4, _INT8 = struct.Struct(">h"), struct.Struct(">i"), struct.Struct(">q")
_DAY = 86_400_000_000
_EPOCH_DAY = 2_451_545
"""2000-01-01 as a Julian day, by which every date can be written."""
_UUID, _OID = 2950, 26


def rows_of(data: bytes) -> Iterator[list[bytes | None]]:
    """The fields of each row; None for NULL."""
    at = len(HEADER)
    while (count := _INT2.unpack_from(data, at)[0]) >= 0:
        at += 2
        fields: list[bytes | None] = []
        for _ in range(count):
            length = _INT4.unpack_from(data, at)[0]
            at += 4
            fields.append(None if length < 0 else data[at : at + length])
            at += max(length, 0)
        yield fields


def text_of(kind: PgType, data: bytes) -> str:
    """StructureMismatch for a type of which only its own server knows the binary form."""
    if kind.element is not None:
        return _array(kind.element, data)
    if kind.kind == "e" or kind.is_text or kind.oid == pgtypes.JSON:
        return data.decode()
    read = _READ.get(kind.oid)
    if read is None:
        raise StructureMismatch(
            f"The REST API does not carry the type {kind.name}.",
            "The whole flow carries it, over the direct connection.",
        )
    return read(data)


# --- numbers -----------------------------------------------------------------------------------------------------


def _number(form: str) -> Callable[[bytes], str]:
    one = struct.Struct(form)
    return lambda data: str(one.unpack(data)[0])


def _numeric(data: bytes) -> str:
    count, weight, sign, scale = struct.unpack_from(">hhHH", data)
    if sign in _NOT_FINITE:
        return _NOT_FINITE[sign]
    digits = [f"{_INT2.unpack_from(data, 8 + 2 * n)[0]:04d}" for n in range(count)]
    if weight < 0:
        digits = ["0000"] * (-1 - weight) + digits
    whole = "".join((digits + ["0000"] * (weight + 1))[: max(weight + 1, 0)])
    fraction = "".join(digits[max(weight + 1, 0) :]).ljust(scale, "0")[:scale]
    return ("-" if sign else "") + (whole or "0") + (f".{fraction}" if fraction else "")


_NOT_FINITE = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}


# --- dates and times ---------------------------------------------------------------------------------------------


def _date(data: bytes) -> str:
    days = _INT4.unpack(data)[0]
    return _endless(days, 31) or f"J{_EPOCH_DAY + days}"


def _timestamp(data: bytes) -> str:
    moment = _INT8.unpack(data)[0]
    days, rest = divmod(moment, _DAY)
    return _endless(moment, 63) or f"J{_EPOCH_DAY + days} {_clock(rest)}"


def _timestamptz(data: bytes) -> str:
    text = _timestamp(data)
    return text if text.endswith("infinity") else f"{text}+00"


def _time(data: bytes) -> str:
    return _clock(_INT8.unpack(data)[0])


def _timetz(data: bytes) -> str:
    moment, west = struct.unpack(">qi", data)
    minutes, seconds = divmod(abs(west), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{_clock(moment)}{'-' if west > 0 else '+'}{hours:02d}:{minutes:02d}:{seconds:02d}"


def _interval(data: bytes) -> str:
    moment, days, months = struct.unpack(">qii", data)
    if (days, months) in ((2**31 - 1, 2**31 - 1), (-(2**31), -(2**31))) and (endless := _endless(moment, 63)):
        return endless
    return f"{months} mons {days} days {'-' if moment < 0 else ''}{_clock(abs(moment))}"


def _endless(value: int, bits: int) -> str:
    return {2**bits - 1: "infinity", -(2**bits): "-infinity"}.get(value, "")


def _clock(microseconds: int) -> str:
    seconds, fraction = divmod(microseconds, 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{fraction:06d}"


# --- the rest ----------------------------------------------------------------------------------------------------


def _bits(data: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in data[4:])[: _INT4.unpack_from(data)[0]]


def _array(element: PgType, data: bytes) -> str:
    dimensions, _, _ = struct.unpack_from(">iii", data)
    bounds = [struct.unpack_from(">ii", data, 12 + 8 * n) for n in range(dimensions)]
    at = 12 + 8 * dimensions

    def nested(level: int) -> str:
        nonlocal at
        if level == dimensions:
            length = _INT4.unpack_from(data, at)[0]
            field = data[at + 4 : at + 4 + max(length, 0)]
            at += 4 + max(length, 0)
            return "NULL" if length < 0 else '"' + re.sub(r'(["\\])', r"\\\1", text_of(element, field)) + '"'
        return "{" + ",".join(nested(level + 1) for _ in range(bounds[level][0])) + "}"

    if not dimensions:
        return "{}"
    ranges = "".join(f"[{first}:{first + size - 1}]" for size, first in bounds)
    return f"{ranges}={nested(0)}"


_READ: dict[int, Callable[[bytes], str]] = {
    pgtypes.BOOL: lambda data: "t" if data == b"\x01" else "f",
    pgtypes.BYTEA: lambda data: "\\x" + data.hex(),
    pgtypes.INT2: _number(">h"),
    pgtypes.INT4: _number(">i"),
    pgtypes.INT8: _number(">q"),
    _OID: _number(">I"),
    pgtypes.FLOAT4: _number(">f"),
    pgtypes.FLOAT8: _number(">d"),
    pgtypes.NUMERIC: _numeric,
    pgtypes.JSONB: lambda data: data[1:].decode(),  # behind its version
    _UUID: lambda data: str(uuid.UUID(bytes=data)),
    pgtypes.DATE: _date,
    pgtypes.TIME: _time,
    pgtypes.TIMETZ: _timetz,
    pgtypes.TIMESTAMP: _timestamp,
    pgtypes.TIMESTAMPTZ: _timestamptz,
    pgtypes.INTERVAL: _interval,
    pgtypes.BIT: _bits,
    pgtypes.VARBIT: _bits,
}

"""The first look at a batch: keys, verdicts, references and checked values, as byte slices of the row."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.forms import Stored
from hybrid_sync.keys import decode_key
from hybrid_sync.rows.failed import FailedRow

_NULL = b"\xff\xff\xff\xff"
_LENGTH_8 = b"\0\0\0\x08"
_LENGTH = struct.Struct(">i")
_INT2 = struct.Struct(">h")


class Row(NamedTuple):
    """One accepted row; everything is still the bytes that PostgreSQL sent."""

    key: bytes
    """The key fields with their lengths: equal bytes, equal key."""
    references: tuple[bytes | None, ...]
    """The 8-byte legacy integer of each reference alternative, None for NULL."""
    checked: bytes
    """The checked columns as complete fields in the target's form."""
    tail: bytes
    """The plain columns as complete fields."""


@dataclass
class Scanned:
    """A chunk after the first look."""

    rows: list[Row] = field(default_factory=list)
    rejected: list[FailedRow] = field(default_factory=list)
    excluded: list[bytes] = field(default_factory=list)
    read: int = 0


def scan(plan: ReadPlan, rows: Iterable[bytes]) -> Scanned:
    """Slice each row at its keys, verdict, references and checked columns; the rest is never looked at."""
    found = Scanned()
    key_end = 2 + sum(4 + width for width in plan.key_widths)
    refer = _references(sum(len(slot.parents) for slot in plan.references))
    checked = plan.checked
    accept, new = found.rows.append, tuple.__new__  # a named tuple's own way takes twice as long
    seen: set[bytes] = set()
    again: Counter[bytes] = Counter()
    for row in rows:
        key = row[2:key_end]
        at = key_end + 4
        verdict = None if row[key_end:at] == _NULL else plan.verdicts[_INT2.unpack_from(row, at)[0]]
        if verdict is not None and verdict.outcome == "exclude":
            # Left out by a rule before it can be anybody's twin.
            found.excluded.append(key)
            continue
        if key in seen:
            # Two rows of one key in one read: twins in the table, or a join that multiplies. Neither may win by chance.
            again[key] += 1
            continue
        seen.add(key)
        if verdict is not None:
            found.rejected.append(FailedRow(decode_key(key), verdict.reason, verdict.column))
            continue
        references, at = refer(row, at)
        fields = b""
        if checked:
            fields, at, problem = _check(row, at, checked)
            if problem is not None:
                found.rejected.append(FailedRow(decode_key(key), *problem))
                continue
        accept(new(Row, (key, references, fields, row[at:])))
    found.read = len(seen.union(found.excluded))
    if again:
        _drop_duplicates(found, again)
    return found


def _references(alternatives: int) -> Callable[[bytes, int], tuple[tuple[bytes | None, ...], int]]:
    """What slices so many references from an offset on: they, and the offset behind them."""
    given = struct.Struct(">" + "4s8s" * alternatives)
    lengths, width = (_LENGTH_8,) * alternatives, given.size

    def slice_each(row: bytes, at: int) -> tuple[tuple[bytes | None, ...], int]:
        # Mostly all are given. Where one is NULL, its length is not that of a bigint, wherever the others stand.
        if len(row) >= at + width and (fields := given.unpack_from(row, at))[::2] == lengths:
            return fields[1::2], at + width
        references: list[bytes | None] = []
        for _ in lengths:
            if row[at : at + 4] == _NULL:
                references.append(None)
                at += 4
            else:
                references.append(row[at + 4 : at + 12])
                at += 12
        return tuple(references), at

    return slice_each if alternatives else lambda row, at: ((), at)


def _check(row: bytes, at: int, columns: Mapping[str, Stored]) -> tuple[bytes, int, tuple[str, str] | None]:
    """The checked columns from `at` on as the target's fields, the offset behind them, and the first problem."""
    parts: list[bytes] = []
    for column, stored in columns.items():
        length = _LENGTH.unpack_from(row, at)[0]
        at += 4
        if length < 0:
            parts.append(_NULL)
            continue
        try:
            value = stored(row[at : at + length])
        except ValueError as problem:
            return b"", at, (str(problem), column)
        at += length
        parts += (_LENGTH.pack(len(value)), value)
    return b"".join(parts), at, None


def _drop_duplicates(found: Scanned, again: Counter[bytes]) -> None:
    """Every row of a key that came `again` goes, and the key is reported once, with the number of its rows."""
    doubled = {decode_key(key): FailedRow(decode_key(key), "duplicate_key", rows=n + 1) for key, n in again.items()}
    found.rows = [row for row in found.rows if row.key not in again]
    found.rejected = [row for row in found.rejected if row.key not in doubled]
    found.rejected += [doubled[key] for key in sorted(doubled)]

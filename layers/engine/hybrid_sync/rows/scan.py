"""The first look at a batch: keys, verdicts, references and checked values, as byte slices of the row."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import field
from itertools import compress, islice
from operator import itemgetter
from typing import cast

from hybrid_sync.catalog.compile import ReadPlan, Verdict
from hybrid_sync.catalog.forms import Stored
from hybrid_sync.catalog.json_text import as_jsonb
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import decode_key
from hybrid_sync.rows.columns import Rows
from hybrid_sync.rows.failed import FailedRow

_NULL = b"\xff\xff\xff\xff"
_LENGTH_8 = b"\0\0\0\x08"
_LENGTH = struct.Struct(">i")
_INT2 = struct.Struct(">h")
_AT_ONCE = 2000
_FEW = 64
"""Rows for which the compiled library is not loaded."""


@dataclass
class Scanned:
    """A chunk after the first look."""

    rows: Rows = field(default_factory=Rows)
    rejected: list[FailedRow] = field(default_factory=list)
    excluded: list[bytes] = field(default_factory=list)
    read: int = 0


def scan(plan: ReadPlan, rows: Iterable[bytes]) -> Scanned:
    """Slice each row at its keys, verdict, references and checked columns; the rest is never looked at."""
    form = _Form(plan)
    found = Scanned(Rows(plan.key_widths, form.references))
    taken, excluded, failing = found.rows, set[int](), set[int]()
    coming = iter(rows)
    while part := list(islice(coming, _AT_ONCE)):
        before = len(taken)
        for n in form.slice(part, taken):
            verdict = form.look(part[n], before + n, taken)
            if verdict is not None:
                (excluded if verdict.outcome == "exclude" else failing).add(before + n)
                _leave_out(found, taken.keys[before + n], verdict)
    found.read = len(set(taken.keys))
    again = {} if found.read == len(taken) else _twins(key for n, key in enumerate(taken.keys) if n not in excluded)
    if plan.checked:
        failing |= _check_all(plan.checked, found, excluded | failing)
    if again:
        _reject_twins(found, again)
    if excluded or failing or again:
        gone = excluded | failing
        found.rows = taken.where([n not in gone and key not in again for n, key in enumerate(taken.keys)])
    return found


class _Form:
    """Where the fields of a plain row stand: of one without a verdict whose references are all given."""

    def __init__(self, plan: ReadPlan) -> None:
        self._verdicts = plan.verdicts
        self.references = sum(len(slot.parents) for slot in plan.references)
        key_end = 2 + sum(4 + width for width in plan.key_widths)
        self._first = key_end + 4
        self._end = self._first + 12 * self.references
        self._lengths = (_NULL, *(_LENGTH_8,) * self.references)
        """Of the verdict, and of each reference."""
        self._places = (key_end, *range(self._first, self._end, 12))
        self._form = struct.Struct(f">{key_end}x4s" + "4s8x" * self.references)
        self._key, self._tail = itemgetter(slice(2, key_end)), itemgetter(slice(self._end, None))
        self._values = [itemgetter(slice(at + 4, at + 12)) for at in self._places[1:]]

    def slice(self, part: list[bytes], into: Rows) -> list[int]:
        """Add all rows as if they were plain; which of them are not."""
        compiled = self._compiled(part) if len(part) > _FEW else None
        if compiled is not None:
            keys, *references, tails = compiled
        else:
            keys, tails = list(map(self._key, part)), list(map(self._tail, part))
            references = [list(map(value, part)) for value in self._values]
        into.keys += keys
        for column, values in zip(into.references, references, strict=True):
            column += values
        into.tails += tails
        return [] if compiled is not None else self.irregular(part)

    def _compiled(self, part: list[bytes]) -> list[list[bytes]] | None:
        """The columns of rows that are all plain; None where some is not, or Python has to look."""
        from hybrid_sync.compiled.library import slice_rows  # where many rows are read

        function = slice_rows()
        return None if function is None else function(part, self._first - 4, self.references)

    def irregular(self, part: list[bytes]) -> list[int]:
        """Which of the rows are not plain."""
        heads = b"".join(map(itemgetter(slice(self._end)), part))
        if len(heads) == self._end * len(part) and self._are_plain(heads):
            return []
        # Where a reference is NULL, its length is not that of a bigint, wherever the others stand.
        heads = b"".join([row[: self._end].ljust(self._end, b"\0") for row in part])
        return list(compress(range(len(part)), map(self._lengths.__ne__, self._form.iter_unpack(heads))))

    def _are_plain(self, heads: bytes) -> bool:
        """Each head has each length where it belongs."""
        count = len(heads) // self._end
        lengths = zip(self._places, self._lengths, strict=True)
        return all(heads[at + n :: self._end] == length[n : n + 1] * count for at, length in lengths for n in range(4))

    def look(self, row: bytes, n: int, into: Rows) -> Verdict | None:
        """The row's verdict; where it has none, correct what was added as number `n`."""
        at = self._first
        if row[at - 4 : at] != _NULL:
            number: int = _INT2.unpack_from(row, at)[0]
            return self._verdicts[number]
        for column in into.references:
            given = row[at : at + 4] != _NULL
            column[n] = row[at + 4 : at + 12] if given else None
            at += 12 if given else 4
        into.tails[n] = row[at:]
        return None


def _leave_out(found: Scanned, key: bytes, verdict: Verdict) -> None:
    if verdict.outcome == "exclude":
        found.excluded.append(key)
    else:
        found.rejected.append(FailedRow(decode_key(key), verdict.reason, verdict.column))


def _check_all(columns: Mapping[str, Stored], found: Scanned, gone: Collection[int]) -> set[int]:
    """Put the checked columns, with which tails begin, into the target's form; which rows have a value that fails."""
    failing: set[int] = set()
    rows = found.rows
    tails = _known(columns, rows.tails)
    for n in [n for n, tail in enumerate(tails) if tail is None]:
        tails[n], problem = (b"", None) if n in gone else _check(rows.tails[n], columns)
        if problem is not None:
            failing.add(n)
            found.rejected.append(FailedRow(decode_key(rows.keys[n]), *problem))
    rows.tails = cast("list[bytes]", tails)
    return failing


def _known(columns: Mapping[str, Stored], tails: list[bytes]) -> list[bytes | None]:
    """What the compiled library finds for them; None for those that Python has to look at."""
    from hybrid_sync.compiled.library import json_tails  # where a catalog has such columns

    compiled = json_tails() if all(stored is as_jsonb for stored in columns.values()) else None
    return [None] * len(tails) if compiled is None else compiled(tails, len(columns))


def _check(tail: bytes, columns: Mapping[str, Stored]) -> tuple[bytes, tuple[str, str] | None]:
    """The tail with its checked columns as the target's fields, and the first problem."""
    parts: list[bytes] = []
    at = 0
    for column, stored in columns.items():
        length = _LENGTH.unpack_from(tail, at)[0]
        at += 4
        if length < 0:
            parts.append(_NULL)
            continue
        try:
            value = stored(tail[at : at + length])
        except ValueError as problem:
            return tail, (str(problem), column)
        at += length
        parts += (_LENGTH.pack(len(value)), value)
    return b"".join((*parts, tail[at:])), None


def _twins(keys: Iterable[bytes]) -> dict[bytes, int]:
    """Keys of two rows or more in one read: twins in the table, or a join that multiplies.  Neither may win by chance.

    What a rule leaves out cannot be anybody's twin.
    """
    return {key: count for key, count in Counter(keys).items() if count > 1}


def _reject_twins(found: Scanned, again: Mapping[bytes, int]) -> None:
    """Each such key is reported once, with the number of its rows, whatever else was wrong with them."""
    doubled = {decode_key(key): FailedRow(decode_key(key), "duplicate_key", rows=n) for key, n in again.items()}
    found.rejected = [row for row in found.rejected if row.key not in doubled]
    found.rejected += [doubled[key] for key in sorted(doubled)]

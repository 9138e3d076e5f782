"""The second look: UUIDs spliced over the integer keys; nothing else in the row is touched."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from itertools import compress, repeat
from typing import NamedTuple

from hybrid_sync.catalog.compile import ReadPlan, ReferenceSlot
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import Key, decode_key, decode_part, encode_key
from hybrid_sync.rows.columns import Row, Rows, SplicedRows
from hybrid_sync.rows.failed import FailedRow
from hybrid_sync.rows.scan import Scanned

_NULL = b"\xff\xff\xff\xff"
_LENGTH_16 = b"\0\0\0\x10"
_FIELDS = struct.Struct(">h")
_TRUE, _FALSE = b"\0\0\0\x01\x01", b"\0\0\0\x01\x00"

Parents = Mapping[bytes, bytes]
"""8-byte legacy integer -> 16-byte UUID."""


class PendingLink(NamedTuple):
    """A reference, deferred or left empty, whose parent has no UUID yet."""

    key: bytes
    column: str
    parent: tuple[str, str]
    parent_key: int


class WaitingFor(NamedTuple):
    """A row that cannot be written before its parent."""

    key: bytes
    column: str
    parent: tuple[str, str]
    parent_key: int


@dataclass
class SplicedBatch:
    """Rows ready for the target: `new` ones have no target row, `known` ones carry their pending flags."""

    new: SplicedRows = field(default_factory=SplicedRows)
    known: SplicedRows = field(default_factory=SplicedRows)
    rejected: list[FailedRow] = field(default_factory=list)
    waiting: list[WaitingFor] = field(default_factory=list)
    pending: list[PendingLink] = field(default_factory=list)


def splice(
    plan: ReadPlan, scanned: Scanned, own: Mapping[bytes, bytes], parents: Mapping[tuple[str, str], Parents],
    mint: Callable[[list[bytes]], list[bytes]], *, flag_new: bool = False,
) -> SplicedBatch:  # fmt: skip
    """Write UUIDs over legacy integers.

    `own` holds the UUIDs of keys that are in the target, `mint` gives one to each new key, `parents` resolves
    references.  A row that refers to another new row of its own entity waits for the link step: whether that other
    row arrives is known only after the write.  `flag_new` adds the pending flags to new rows too, where they must be
    staged.
    """
    batch = SplicedBatch()
    carried = _carry(plan, scanned.rows, parents, batch)
    stored, deferred = len(plan.target_columns), sum(1 for slot in plan.references if slot.deferred)
    new = carried
    if own:
        known = carried.where([key in own for key in carried.keys])
        new = carried.where([key not in own for key in carried.keys])
        batch.known = known.spliced(stored + deferred, list(map(own.__getitem__, known.keys)), flagged=True)
    batch.new = new.spliced(stored + (deferred if flag_new else 0), mint(new.keys), flagged=flag_new)
    return batch


@dataclass
class _Carried:
    """The rows that can be written, by column."""

    keys: list[bytes]
    decoded: list[Key] | None
    """`keys` as integers; None where rows were left out."""
    stored_keys: list[bytes]
    """As the target's columns take them."""
    references: list[list[bytes]]
    """Of each row's references the fields, in one column or in several."""
    rest: list[bytes]
    flags: list[bytes] | None
    """Of the deferred references; None where there is none."""

    def where(self, kept: Sequence[bool]) -> _Carried:
        def of(column: list[bytes]) -> list[bytes]:
            return list(compress(column, kept))

        flags = None if self.flags is None else of(self.flags)
        references = [of(column) for column in self.references]
        return _Carried(of(self.keys), None, of(self.stored_keys), references, of(self.rest), flags)

    def spliced(self, fields: int, ids: list[bytes], *, flagged: bool) -> SplicedRows:
        """Ready to be written, of so many fields."""
        columns = [ids, self.stored_keys, *self.references, self.rest]
        if flagged and self.flags is not None:
            columns.append(self.flags)
        head = _FIELDS.pack(fields) + _LENGTH_16
        return SplicedRows(self.keys, head, columns, 2 + len(self.references), self.decoded)


def _carry(
    plan: ReadPlan, rows: Rows, parents: Mapping[tuple[str, str], Parents], batch: SplicedBatch
) -> _Carried:  # fmt: skip
    """What follows the id in each row; rows that cannot be written, and links that wait, are added to `batch`."""
    references = _found(plan, rows, parents)
    deferred = sum(1 for slot in plan.references if slot.deferred)
    flags = [_FALSE * deferred] * len(rows) if deferred else None
    absent: set[int] = set()
    resolvers = _resolvers(plan, parents)
    for n in sorted({n for column in references if b"" in column for n, found in enumerate(column) if not found}):
        resolved = _references(resolvers, rows[n], batch)
        if resolved is None:
            absent.add(n)
            continue
        for column in references:
            column[n] = b""
        references[0][n] = resolved[0]
        if flags is not None:
            flags[n] = resolved[1]
    carried = _Carried(rows.keys, rows.decoded, _stored_keys(plan, rows), references, rows.tails, flags)
    return carried.where([n not in absent for n in range(len(rows))]) if absent else carried


def _found(plan: ReadPlan, rows: Rows, parents: Mapping[tuple[str, str], Parents]) -> list[list[bytes]]:
    """By slot the fields that the target gets; empty where something is missing, or is to be looked at row by row: of
    alternatives several may be given."""
    if any(len(slot.parents) > 1 for slot in plan.references):
        return [[b""] * len(rows)]
    fields: dict[tuple[str, str], dict[bytes | None, bytes]] = {
        parent: {legacy: _LENGTH_16 + uuid for legacy, uuid in ids.items()} for parent, ids in parents.items()
    }
    columns: list[list[bytes]] = []
    for slot, column in zip(plan.references, rows.references, strict=True):
        known = fields.get(slot.parents[0], {})
        if not slot.required:
            known = {**known, None: _NULL}
        columns.append(list(map(known.get, column, repeat(b""))))
    return columns


def _stored_keys(plan: ReadPlan, rows: Rows) -> list[bytes]:
    """The keys as the target's columns take them, where that is not as legacy sends them; a key that is too large for
    them has a verdict and is not here."""
    widths = plan.stored_widths
    return rows.keys if widths is None else [encode_key(key, widths) for key in rows.decoded]


_Resolver = tuple[ReferenceSlot, int, int, tuple[Parents, ...]]


def _resolvers(plan: ReadPlan, parents: Mapping[tuple[str, str], Parents]) -> list[_Resolver]:
    resolvers: list[_Resolver] = []
    at = 0
    for slot in plan.references:
        maps = tuple(parents.get(parent, {}) for parent in slot.parents)
        resolvers.append((slot, at, at + len(slot.parents), maps))
        at += len(slot.parents)
    return resolvers


def _references(resolvers: list[_Resolver], row: Row, batch: SplicedBatch) -> tuple[bytes, bytes] | None:
    """The row's uuid fields and pending flags; None when the row cannot be written, which is recorded in `batch`."""
    parts: list[bytes] = []
    flags: list[bytes] = []
    pending: list[PendingLink] = []
    for slot, first, end, maps in resolvers:
        chosen = None
        for i in range(first, end):
            legacy = row.references[i]
            if legacy is not None:
                if chosen is not None:
                    batch.rejected.append(FailedRow(decode_key(row.key), "ambiguous_reference", slot.column))
                    return None
                chosen = (i - first, legacy)
        if chosen is None:
            if slot.required:
                batch.rejected.append(FailedRow(decode_key(row.key), "missing_parent", slot.column))
                return None
            parts.append(_NULL)
            if slot.deferred:
                flags.append(_FALSE)
            continue
        alternative, legacy = chosen
        uuid = maps[alternative].get(legacy)
        if uuid is not None:
            parts += (_LENGTH_16, uuid)
            if slot.deferred:
                flags.append(_FALSE)
            continue
        parent_key = decode_part(legacy)
        if not slot.deferred and not slot.left_empty:
            batch.waiting.append(WaitingFor(row.key, slot.column, slot.parents[alternative], parent_key))
            return None
        parts.append(_NULL)
        if slot.deferred:
            # Left empty means empty: the reference to a former parent must not stay.
            flags.append(_FALSE if slot.left_empty else _TRUE)
        pending.append(PendingLink(row.key, slot.column, slot.parents[alternative], parent_key))
    batch.pending += pending
    return b"".join(parts), b"".join(flags)

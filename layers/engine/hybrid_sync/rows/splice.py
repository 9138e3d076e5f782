"""The second look: UUIDs spliced over the integer keys; nothing else in the row is touched."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import getitem
from typing import NamedTuple

from hybrid_sync.catalog.compile import ReadPlan, ReferenceSlot
from hybrid_sync.keys import decode_key, decode_part, encode_key
from hybrid_sync.rows.failed import FailedRow
from hybrid_sync.rows.scan import Row, Scanned

HEADER = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_LENGTH_16 = b"\0\0\0\x10"
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


class Spliced(NamedTuple):
    key: bytes
    data: bytes
    """A complete binary COPY row: its field count, then `ReadPlan.target_columns` (and the pending flags if known)."""


@dataclass
class SplicedBatch:
    """Rows ready for the target: `new` ones have no target row, `known` ones carry their pending flags."""

    new: list[Spliced] = field(default_factory=list)
    known: list[Spliced] = field(default_factory=list)
    rejected: list[FailedRow] = field(default_factory=list)
    waiting: list[WaitingFor] = field(default_factory=list)
    pending: list[PendingLink] = field(default_factory=list)
    minted: dict[bytes, bytes] = field(default_factory=dict)


def splice(
    plan: ReadPlan, scanned: Scanned, own: Mapping[bytes, bytes], parents: Mapping[tuple[str, str], Parents],
    mint: Callable[[bytes], bytes], *, flag_new: bool = False,
) -> SplicedBatch:  # fmt: skip
    """Write UUIDs over legacy integers.

    `own` holds the UUIDs of keys that are in the target, `mint` gives one to a new key, `parents` resolves
    references.  A row that refers to another new row of its own entity waits for the link step: whether that other
    row arrives is known only after the write.  `flag_new` adds the pending flags to new rows too, where they must be
    staged.
    """
    batch = SplicedBatch()
    deferred = sum(1 for slot in plan.references if slot.deferred)
    plain_count = struct.pack(">h", len(plan.target_columns)) + _LENGTH_16
    flagged_count = struct.pack(">h", len(plan.target_columns) + deferred) + _LENGTH_16
    resolvers, found = _resolvers(plan, parents), _found(plan, parents)
    minted, all_found = batch.minted, _FALSE * deferred
    stored_key = _stored_key(plan)
    new_head, flags_new = (flagged_count, True) if flag_new else (plain_count, False)
    for row in scanned.rows:
        key, legacy, checked, tail = row
        try:
            references, flags = b"".join(map(getitem, found, legacy)), all_found
        except KeyError:
            resolved = _references(resolvers, row, batch)
            if resolved is None:
                continue
            references, flags = resolved
        uuid = own.get(key)
        if uuid is None:
            uuid = minted[key] = mint(key)
            head, end, rows = new_head, flags if flags_new else b"", batch.new
        else:
            head, end, rows = flagged_count, flags, batch.known
        data = b"".join((head, uuid, stored_key(key) if stored_key else key, references, checked, tail, end))
        rows.append(tuple.__new__(Spliced, (key, data)))
    return batch


def _found(plan: ReadPlan, parents: Mapping[tuple[str, str], Parents]) -> list[Mapping[bytes | None, bytes]]:
    """By slot: from what legacy has to the field that the target gets, for what asks no more than that.

    Nothing of a slot with alternatives, of which several may be given, and none of these maps knows what is missing.
    """
    fields: dict[tuple[str, str], dict[bytes | None, bytes]] = {
        parent: {legacy: _LENGTH_16 + uuid for legacy, uuid in ids.items()} for parent, ids in parents.items()
    }
    found: list[Mapping[bytes | None, bytes]] = []
    for slot in plan.references:
        if len(slot.parents) > 1:
            return [{}]
        known = dict(fields.get(slot.parents[0], {}))
        if not slot.required:
            known[None] = _NULL
        found.append(known)
    return found


def _stored_key(plan: ReadPlan) -> Callable[[bytes], bytes] | None:
    """The key as the target's columns take it, where that is not as legacy sends it; a key that is too large for them
    has a verdict and is not here."""
    widths = plan.stored_widths
    return None if widths is None else lambda key: encode_key(decode_key(key), widths)


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
    """The row's uuid fields and pending flags; None when the row cannot be written, which `batch` then says."""
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

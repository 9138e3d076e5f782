"""Rows by column: one operation in C treats a whole column at once, and a single row is put together only where one
is looked at."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate, chain, compress, repeat
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast, overload

from hybrid_sync.contracts import Key
from hybrid_sync.many_keys import decode_keys

if TYPE_CHECKING:
    from hybrid_sync.compiled.library import JoinRows

HEADER = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
TRAILER = b"\xff\xff"
T = TypeVar("T")
_CHUNK_BYTES = 96 * 1024
_CHUNK_ROWS = 1000
_FEW = 64
"""Rows for which the compiled library is not loaded."""


class Row(NamedTuple):
    """One accepted row; everything is still the bytes that PostgreSQL sent."""

    key: bytes
    """The key fields with their lengths: equal bytes, equal key."""
    references: tuple[bytes | None, ...]
    """The 8-byte legacy integer of each reference alternative, None for NULL."""
    tail: bytes
    """The checked columns in the target's form and the plain ones, as complete fields."""


class Rows(Sequence[Row]):
    """Accepted rows, in key order."""

    def __init__(self, widths: tuple[int, ...] = (), references: int = 0) -> None:
        """`widths` are those of a key's parts, `references` how many alternatives a row has."""
        self.widths = widths
        self.keys: list[bytes] = []
        self.references: list[list[bytes | None]] = [[] for _ in range(references)]
        self.tails: list[bytes] = []

    @cached_property
    def decoded(self) -> list[Key]:
        """The keys as integers; to be asked once all rows are there."""
        return decode_keys(self.keys, self.widths)

    def where(self, kept: Iterable[object]) -> Rows:
        """Those of which `kept`, which has a value for each, is true."""
        chosen, some = list(kept), Rows(self.widths)
        some.keys, some.tails = _among(self.keys, chosen), _among(self.tails, chosen)
        some.references = [_among(column, chosen) for column in self.references]
        return some

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> Rows: ...
    def __getitem__(self, at: int | slice) -> Row | Rows:
        if isinstance(at, slice):
            wanted = set(range(*at.indices(len(self))))
            return self.where(n in wanted for n in range(len(self)))
        references = tuple(column[at] for column in self.references)
        return Row(self.keys[at], references, self.tails[at])


class Spliced(NamedTuple):
    """One row that is ready to be written."""

    key: bytes
    data: bytes
    """A complete binary COPY row: its field count, then `ReadPlan.target_columns` (and the pending flags if known)."""


class SplicedRows(Sequence[Spliced]):
    """Rows that are ready to be written: `head` is how each begins, and a part of each column follows."""

    def __init__(
        self, keys: list[bytes] | None = None, head: bytes = b"", columns: Sequence[list[bytes]] = (), wide: int = 0,
        decoded: list[Key] | None = None,
    ) -> None:  # fmt: skip
        """The first column is the id; the number `wide` is the one whose parts may be long; `decoded` are the keys as
        integers, where somebody knows them already."""
        self.keys = keys or []
        self._head = head
        self._columns = columns
        self._wide = wide
        self._decoded = decoded

    def decoded(self, widths: tuple[int, ...]) -> list[Key]:
        """The keys as integers; `widths` are those of a key's parts."""
        return decode_keys(self.keys, widths) if self._decoded is None else self._decoded

    @property
    def ids(self) -> list[bytes]:
        """Of each row, as 16 bytes."""
        return self._columns[0] if self._columns else []

    def where(self, kept: Iterable[object]) -> SplicedRows:
        """Those of which `kept`, which has a value for each, is true."""
        chosen = list(kept)
        columns = [_among(column, chosen) for column in self._columns]
        return SplicedRows(_among(self.keys, chosen), self._head, columns, self._wide)

    def chunks(self) -> Iterator[bytes]:
        """The rows as a binary COPY, many small rows in each chunk: neither one copy of everything, nor a call per
        row."""
        yield HEADER
        yield from (self._compiled() if len(self) > _FEW else None) or self._joined()
        yield TRAILER

    def _joined(self) -> Iterator[bytes]:
        sizes = list(accumulate(map(len, self._columns[self._wide]))) if self.keys else []
        at = before = 0
        while at < len(sizes):
            end = min(max(bisect_right(sizes, before + _CHUNK_BYTES, at), at + 1), at + _CHUNK_ROWS, len(sizes))
            parts = zip(repeat(self._head), *(column[at:end] for column in self._columns))
            yield b"".join(chain.from_iterable(parts))
            at, before = end, sizes[end - 1]

    def _compiled(self) -> Iterator[bytes] | None:
        """The same by the compiled library; None where there is none, or where it leaves them to Python."""
        from hybrid_sync.compiled.library import join_rows  # where many rows are written

        function, columns = join_rows(), list(self._columns)
        if function is None or (begun := function(self._head, columns, 0, _CHUNK_BYTES)) is None:
            return None
        return self._going_on(function, columns, begun)

    def _going_on(self, function: JoinRows, columns: list[list[bytes]], begun: list[Any]) -> Iterator[bytes]:
        chunk, at = begun
        yield chunk
        while at < len(self):
            chunk, at = cast("list[Any]", function(self._head, columns, at, _CHUNK_BYTES))
            yield chunk

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, at: int) -> Spliced: ...
    @overload
    def __getitem__(self, at: slice) -> SplicedRows: ...
    def __getitem__(self, at: int | slice) -> Spliced | SplicedRows:
        if isinstance(at, slice):
            return SplicedRows(self.keys[at], self._head, [column[at] for column in self._columns], self._wide)
        return Spliced(self.keys[at], self._head + b"".join([column[at] for column in self._columns]))


def _among(column: Iterable[T], chosen: Sequence[object]) -> list[T]:
    return list(compress(column, chosen))

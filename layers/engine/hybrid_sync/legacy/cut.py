"""Where a page of a batch ends: at so many rows or bytes, and never between two versions of one key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import decode_key

PAGE_BYTES = 16 * 1024 * 1024
"""Raw bytes of one page's rows; a single row may be larger, and is then a page by itself."""


@dataclass
class Cut:
    """Takes rows in key order until the page is full; what it has taken, it remembers."""

    plan: ReadPlan
    most_rows: int
    most_bytes: int = PAGE_BYTES
    rows: int = 0
    size: int = 0
    """Bytes of the rows taken."""
    last: Key | None = None
    """The last key of the page."""
    more: bool = False
    """Rows are left behind the page, or may be."""

    @property
    def at_most(self) -> int:
        """How many rows are worth asking for: one more than the page takes shows that there are more."""
        return self.most_rows + 1

    def take(self, parts: Iterable[list[bytes]]) -> Iterator[list[bytes]]:
        """The page's rows, some at a time.  What stays behind a full page of rows is read and dropped; behind one full
        of bytes, left unread for the caller to close."""
        end = 2 + sum(4 + width for width in self.plan.key_widths)
        previous = b""
        for part in parts:
            size = sum(map(len, part))
            if self.rows + len(part) <= self.most_rows and self.size + size <= self.most_bytes:
                self.rows, self.size, previous = self.rows + len(part), self.size + size, part[-1][2:end]
                yield part
                continue
            for n, row in enumerate(part):
                key = row[2:end]
                full = self.rows >= self.most_rows
                if key != previous and (full or (self.rows and self.size + len(row) > self.most_bytes)):
                    self._end(previous)
                    yield part[:n]
                    for _ in parts if full else ():
                        pass
                    return
                previous = key
                self.rows, self.size = self.rows + 1, self.size + len(row)
            yield part
        # A page that its last key overfills took all that was asked for, and nothing shows what lies behind.
        if previous:
            self.last = self._key(previous)
            self.more = self.rows >= self.at_most

    def _end(self, last: bytes) -> None:
        self.last, self.more = self._key(last) if last else self.last, True

    def _key(self, fields: bytes) -> Key:
        return decode_key(fields)

"""The id map's cache in DynamoDB: it saves time and can lose nothing, because the target is the authority.

One item is a page: the UUIDs of 500 consecutive legacy integers of one source, 16 bytes each, zeros where
none is known.  A batch with 10,000 references so costs a few BatchGetItem calls and not a hundred.  500 is
also the size of a lock bucket, so batches fill whole pages.  A composite key has an item of its own.

The epoch is part of an item's key: raising it makes everything cached before invisible, and DynamoDB drops
the old items when they expire.  Two writers of one page can overwrite each other; that loses a cache entry,
which is asked from the target once more.
"""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hybrid_sync.aws import Client, refusals
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import AwsUnavailable, PartMissing
from hybrid_sync.ids.idmap import PAGE, WIDTH
from hybrid_sync.ids.seal import Seal
from hybrid_sync.keys import key_text
from hybrid_sync.many_keys import by_page, pages_filled, places
from hybrid_sync.retries import CACHE_ROUND

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY_BYTES = 6 * 1024 * 1024
"""What one worker remembers at most, 390,000 ids: so little that a worker needs the same memory for any table."""
EXPIRES_AFTER_SECONDS = 180 * 86_400
"""An item that was not written for so long is dropped, and repaired from the target when it is needed."""
QUIET_SECONDS = 30.0
"""After a failure the cache is left alone for so long, or every call would wait for the same time-outs."""

_READ_ITEMS = 100
_WRITE_ITEMS = 25
_NONE = bytes(WIDTH)


@dataclass
class CacheCounts:
    """What the cache did since the worker started, in keys (hits, misses) and items (the others)."""

    hits: int = 0
    misses: int = 0
    unread: int = 0
    unwritten: int = 0
    unsealed: int = 0
    """Items that we have not sealed, or not as they are now: somebody else wrote to the cache."""
    gone: str = ""
    """That there is no table, in a sentence; empty where it was there the last time."""


def gone(cache: object) -> str:
    """Why the cache's table is gone, in a sentence; empty where it is there, and for a cache of another kind."""
    return cache.counts.gone if isinstance(cache, DynamoIdCache) else ""


class DynamoIdCache:
    """An `IdCache` over one DynamoDB table with the string key `pk`."""

    def __init__(
        self,
        table: str,
        client: Client,
        secret: bytes,
        *,
        memory_bytes: int = MEMORY_BYTES,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._client = client
        self._seal = Seal(secret)
        self._memory = _Memory(memory_bytes)
        self._sleep = sleep
        self._monotonic = monotonic
        self._quiet_until = 0.0
        self.counts = CacheCounts()

    def get(self, entity: str, source: str, epoch: int, keys: Collection[Key]) -> dict[Key, bytes]:
        """The cached ids; a key without one is absent from the answer, also when DynamoDB does not answer, or the table
        is gone (`counts.gone`).

        Raises ConfigurationMissing where our role may not ask: that is no outage.
        """
        found: dict[Key, bytes] = {}
        unknown: dict[str, list[Key]] = {}
        for item, some, _ in _items(entity, source, epoch, keys):
            if absent := _take(some, self._memory.page(item), found):
                unknown[item] = absent
        if unknown:
            # A page in memory may lack what another worker has added since: ask for its absent keys again.
            read = self._read(unknown)
            self._memory.add(read)
            for item, absent in unknown.items():
                _take(absent, read.get(item), found)
        self.counts.hits += len(found)
        self.counts.misses += len(keys) - len(found)
        return found

    def get_filled(self, entity: str, source: str, epoch: int, fields: Collection[bytes]) -> dict[bytes, bytes]:
        """`get` by the 8 bytes of each integer, a page at a time; finds nothing where their pages hold few of them."""
        from hybrid_sync.ids.pages import ids_in_pages  # where rows are written by the batch

        wanted = fields if isinstance(fields, set) else set(fields)
        pages = {page: f"{entity}/{source}/{epoch}/{page}" for page in pages_filled(list(wanted), PAGE)}
        read = self._read([item for item in pages.values() if self._memory.page(item) is None])
        held = {page: ids for page, item in pages.items() if (ids := read.get(item) or self._memory.page(item))}
        self._memory.add(read)
        found = ids_in_pages(wanted, held)
        self.counts.hits += len(found)
        return found

    def pages(self, entity: str, source: str, epoch: int, numbers: Collection[int]) -> dict[int, bytes]:
        """Whole pages; one in memory may lack what another worker has added since."""
        names = {f"{entity}/{source}/{epoch}/{number}": number for number in numbers}
        held = {item: page for item in names if (page := self._memory.page(item)) is not None}
        read = self._read([item for item in names if item not in held])
        self._memory.add(read)
        return {names[item]: page for item, page in (held | read).items()}

    def put(self, entity: str, source: str, epoch: int, ids: Mapping[Key, bytes]) -> None:
        """Store ids; call it after the commit that made them true.

        What DynamoDB does not take is dropped, and is a miss later. Raises ConfigurationMissing like `get`.
        """
        written: dict[str, bytes] = {}
        added: dict[str, tuple[list[Key], int]] = {}
        for item, some, size in _items(entity, source, epoch, ids):
            known = self._memory.page(item)
            if len(some) * WIDTH == size:  # filled completely, so nothing of it has to be read
                if (page := b"".join([ids[key] for key in sorted(some)])) != known:
                    written[item] = page
            elif known is None or _ids(some, known) != [ids[key] for key in some]:
                added[item] = some, size
        there = self._read(added)  # they keep what else they hold
        for item, (some, size) in added.items():
            filled = bytearray(there.get(item) or self._memory.page(item) or bytes(size))
            for key, place in zip(some, places(some, PAGE), strict=True):
                filled[place * WIDTH : (place + 1) * WIDTH] = ids[key]
            written[item] = bytes(filled)
        self._memory.add(written)
        # Rows that were only updated have the ids that their page holds: nothing to write.
        self._write({item: page for item, page in written.items() if there.get(item) != page})

    # --- DynamoDB -------------------------------------------------------------------------------------------

    def _read(self, items: Iterable[str]) -> dict[str, bytes]:
        pages: dict[str, bytes] = {}
        for chunk in _chunks(list(items), _READ_ITEMS):
            wanted = [{"pk": {"S": item}} for item in chunk]
            with self._forgiving() as asking:
                for pause in _pauses():
                    if not (asking and wanted):
                        break
                    self._sleep(pause)
                    answer = self._client.batch_get_item(RequestItems={self._table: {"Keys": wanted}})
                    for item in answer["Responses"].get(self._table, ()):
                        self._believe(item, pages)
                    wanted = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
            self.counts.unread += len(wanted)
        return pages

    def _believe(self, item: Mapping[str, Mapping[str, Any]], pages: dict[str, bytes]) -> None:
        """Add the page of an item with our seal; without it the page counts as absent, for readers and writers
        alike."""
        name, page, seal = item["pk"]["S"], item.get("ids", {}).get("B", b""), item.get("seal", {}).get("B", b"")
        if self._seal.fits(name, bytes(page), bytes(seal)):
            pages[name] = bytes(page)
        else:
            self.counts.unsealed += 1

    def _write(self, pages: Mapping[str, bytes]) -> None:
        expires = {"N": str(int(time.time()) + EXPIRES_AFTER_SECONDS)}
        for chunk in _chunks(list(pages), _WRITE_ITEMS):
            wanted = [
                {
                    "PutRequest": {
                        "Item": {
                            "pk": {"S": item}, "ids": {"B": pages[item]},
                            "seal": {"B": self._seal.of(item, pages[item])}, "expires_at": expires,
                        }
                    }
                }
                for item in chunk
            ]  # fmt: skip
            with self._forgiving() as asking:
                for pause in _pauses():
                    if not (asking and wanted):
                        break
                    self._sleep(pause)
                    answer = self._client.batch_write_item(RequestItems={self._table: wanted})
                    wanted = answer.get("UnprocessedItems", {}).get(self._table, [])
            self.counts.unwritten += len(wanted)

    @contextmanager
    def _forgiving(self) -> Iterator[bool]:
        """Whether to ask at all; a failure within is counted by what stays wanted, and brings some quiet."""
        if self._monotonic() < self._quiet_until:
            yield False
            return
        try:
            with refusals("the id map's table"):
                yield True
            self.counts.gone = ""
        except (AwsUnavailable, PartMissing) as error:
            self.counts.gone = str(error) if isinstance(error, PartMissing) else ""
            self._quiet_until = self._monotonic() + QUIET_SECONDS


def _items(entity: str, source: str, epoch: int, keys: Collection[Key]) -> Iterator[tuple[str, list[Key], int]]:
    """The items in which these keys live, each with its keys and its size."""
    place = f"{entity}/{source}/{epoch}"
    pages, composite = by_page(keys, PAGE)
    for page, some in pages.items():
        yield f"{place}/{page}", some, PAGE * WIDTH
    for key in composite:
        yield f"{place}:{key_text(key)}", [key], WIDTH


def _take(keys: list[Key], page: bytes | None, found: dict[Key, bytes]) -> list[Key]:
    """Add the ids that the item `page` has of these keys to `found`; returns the other keys."""
    if page is None:
        return keys
    absent: list[Key] = []
    for key, uuid in zip(keys, _ids(keys, page), strict=True):
        if uuid == _NONE:
            absent.append(key)
        else:
            found[key] = uuid
    return absent


def _ids(keys: list[Key], page: bytes) -> list[bytes]:
    """The id of each key in its item, zeros where none is known."""
    return [page[place * WIDTH : (place + 1) * WIDTH] for place in places(keys, PAGE)]


class _Memory:
    """Pages of this worker, the oldest dropped first.

    Items of one id are not kept: nothing refers to a composite key, and beside 16 bytes each would cost 400 more.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._pages: OrderedDict[str, bytes] = OrderedDict()

    def page(self, item: str) -> bytes | None:
        return self._pages.get(item)

    def add(self, pages: Mapping[str, bytes]) -> None:
        for item, page in pages.items():
            if len(page) == WIDTH:
                continue
            old = self._pages.pop(item, b"")
            self._bytes += len(page) - len(old)
            self._pages[item] = page
        while self._bytes > self._limit and len(self._pages) > len(pages):
            _, dropped = self._pages.popitem(last=False)
            self._bytes -= len(dropped)


def _chunks(items: list[str], size: int) -> list[list[str]]:
    return [items[at : at + size] for at in range(0, len(items), size)]


def _pauses() -> Iterator[float]:
    """Seconds before each round of a request that came back unprocessed: none before the first."""
    yield 0.0
    for failed in range(1, CACHE_ROUND.attempts):
        # Spreads load and guards nothing, so a plain generator does.
        yield random.uniform(0, CACHE_ROUND.delay(failed))  # nosec B311

"""Many legacy keys at once: what `keys` says of one, without a step of Python for each part."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, compress, islice, repeat
from operator import le, ne, sub

from psycopg import sql

from hybrid_sync.keys import HIGHEST, LOWEST, Key, between, one_of

_FORMATS = {2: "h", 4: "i", 8: "q"}
_SPARSE = 4
"""Of how many integers at most one is wanted where all between the first and the last are asked for, by one walk."""
_FEW = 8


@lru_cache(maxsize=64)
def _fields(widths: tuple[int, ...]) -> struct.Struct:
    return struct.Struct(">" + "".join(f"4x{_FORMATS[width]}" for width in widths))


def decode_keys(fields: Collection[bytes], widths: tuple[int, ...]) -> list[Key]:
    """The keys of these fields, in order; each part has its width."""
    return list(_fields(widths).iter_unpack(b"".join(fields)))


def decode_parts(fields: Collection[bytes]) -> list[Key]:
    """Keys of one part of 8 bytes each, without their lengths."""
    return list(struct.iter_unpack(">q", b"".join(fields)))


def in_order(keys: Iterable[Key], first: int, size: int) -> list[bytes]:
    """Of keys of one part: each counted from `first`, as so many bytes, whose order is the keys' until they begin anew
    at zero."""
    end = 1 << 8 * size
    return [((first + key) % end).to_bytes(size, "big") for (key,) in keys]


def packed_ids(columns: Sequence[sql.Composable]) -> sql.Composed:
    """Id and key of all rows of a query in one value: a message per row would take twice as long to read."""
    parts = sql.SQL("").join(sql.SQL(" || int8send({}::int8)").format(column) for column in columns)
    return sql.SQL("string_agg(uuid_send(id){}, ''::bytea)").format(parts)


def unpacked_ids(packed: bytes, width: int) -> dict[Key, bytes]:
    """The value of `packed_ids` as key -> UUID, for keys of `width` parts."""
    return {row[1:]: row[0] for row in struct.iter_unpack(f">16s{width}q", packed)}


def key_bytes(keys: Sequence[Key]) -> list[bytes]:
    """The keys as `key_text` writes them, as bytes."""
    form = b",".join([b"%d"] * len(keys[0])) if keys else b""
    return [form % key for key in keys]


def by_page(keys: Collection[Key], size: int) -> tuple[dict[int, list[Key]], list[Key]]:
    """Keys of one part by the number of their page of `size` integers, negative ones too; and the composite keys."""
    pages = dict[int, list[Key]]()
    others: list[Key] = []
    if not _are_single(keys):
        others = [key for key in keys if len(key) > 1]
        keys = [key for key in keys if len(key) == 1]
    listed = list(keys)
    if all(map(le, listed, islice(listed, 1, None))):
        return dict(_cut(listed, size)), others
    for key in listed:
        pages.setdefault(key[0] // size, []).append(key)
    return pages, others


def _cut(ordered: list[Key], size: int) -> Iterator[tuple[int, list[Key]]]:
    """The keys, which are in order, page by page: the page's number and its keys."""
    at = 0
    while at < len(ordered):
        page = ordered[at][0] // size
        end = bisect_left(ordered, ((page + 1) * size,), at)
        yield page, ordered[at:end]
        at = end


def pages_filled(fields: Sequence[bytes], size: int) -> list[int]:
    """The numbers of the pages in which integers of 8 bytes each lie; none where they are few in each."""
    pages = {n // size for n in struct.unpack(f">{len(fields)}q", b"".join(fields))}
    if size * len(pages) > _SPARSE * len(fields):
        return []
    # Not the outermost ones, of which a bigint has not all.
    return sorted(page for page in pages if page * size >= LOWEST and (page + 1) * size - 1 <= HIGHEST)


def fields_of(page: int, size: int) -> tuple[bytes, ...]:
    """All integers of a page, as 8 bytes each."""
    first = page * size
    return struct.unpack("8s" * size, struct.pack(f">{size}q", *range(first, first + size)))


def places(keys: Collection[Key], size: int) -> list[int]:
    """The place of each key in its page; a composite key has a page of its own."""
    return [key[0] % size for key in keys] if _are_single(keys) else [0 for _ in keys]


def _are_single(keys: Collection[Key]) -> bool:
    return max(map(len, keys), default=1) == 1


def stretch_of(keys: Sequence[Key]) -> tuple[int, int] | None:
    """The first and the last of integers that are many and close together; None for others."""
    if len(keys) < _FEW or len(keys[0]) > 1:
        return None
    (first,), (last,) = min(keys), max(keys)
    return (first, last) if last - first < _SPARSE * len(keys) else None


def at_least(exprs: Sequence[sql.Composable], keys: Sequence[Key]) -> sql.Composable:
    """These keys, and others only where they lie so close that asking for all of them is less work."""
    stretch = stretch_of(keys)
    return one_of(exprs, keys) if stretch is None else between(exprs[0], stretch[0], stretch[1] + 1)


def all_parts(keys: Sequence[Key]) -> sql.Composed:
    """One array of all parts of all keys, key by key; consecutive integers are sent as their first and last."""
    parts = list(chain.from_iterable(keys))
    begins = [0, *compress(range(1, len(parts)), map(ne, map(sub, parts[1:], parts), repeat(1)))]
    if _SPARSE * len(begins) > len(parts):
        return _numbers(parts)
    if len(begins) == 1:
        series = "array(select g.n from generate_series(({})::int8, ({})::int8) g (n))"
        return sql.SQL(series).format(parts[0], parts[-1])
    ends = [*(n - 1 for n in begins[1:]), len(parts) - 1]
    return sql.SQL(
        "array(select g.n from unnest({}, {}) with ordinality u (lo, hi, place), generate_series(u.lo, u.hi) g (n)"
        " order by u.place, g.n)"
    ).format(_numbers([parts[n] for n in begins]), _numbers([parts[n] for n in ends]))


def _numbers(numbers: Sequence[int]) -> sql.Composed:
    return sql.SQL("({}::int8[])").format("{" + ",".join(map(str, numbers)) + "}")

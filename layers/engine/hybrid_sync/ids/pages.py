"""The ids of many integers, out of the id map's pages."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from itertools import compress

from hybrid_sync.ids.idmap import PAGE, WIDTH
from hybrid_sync.many_keys import fields_of

_NONE = bytes(WIDTH)
_SLICES = struct.Struct(f"{WIDTH}s" * PAGE)
_FEW = 64
"""Integers for which the compiled library is not loaded."""
_GAPS = 4
"""Of how many pages in a row at least one is there, where they are looked at by their place in it."""


def ids_in_pages(wanted: AbstractSet[bytes], pages: Mapping[int, bytes]) -> dict[bytes, bytes]:
    """Of these integers, of 8 bytes each, the ids that whole pages have, by the pages' numbers."""
    found = _compiled(list(wanted), pages) if len(wanted) > _FEW and pages else None
    return _page_by_page(wanted, pages) if found is None else found


def _page_by_page(wanted: AbstractSet[bytes], pages: Mapping[int, bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for page, ids in pages.items():
        if len(ids) == _SLICES.size:
            names = fields_of(page, PAGE)
            found.update(compress(zip(names, _SLICES.unpack(ids), strict=True), map(wanted.__contains__, names)))
    return {name: uuid for name, uuid in found.items() if uuid != _NONE} if _NONE in found.values() else found


def _compiled(names: list[bytes], pages: Mapping[int, bytes]) -> dict[bytes, bytes] | None:
    """The same by the compiled library; None where there is none, or where it leaves them to Python."""
    from hybrid_sync.compiled.library import ids_of  # where many rows refer to others

    first, last = min(pages), max(pages)
    function = ids_of() if last - first < _GAPS * len(pages) else None
    ids = function and function(names, [pages.get(page) for page in range(first, last + 1)], first, PAGE)
    if ids is None:
        return None
    found = dict(zip(names, ids, strict=True))
    return {name: uuid for name, uuid in found.items() if uuid} if b"" in found.values() else found

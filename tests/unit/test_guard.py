"""A page of the id map's cache against what the target has of the same bucket."""

from __future__ import annotations

import hashlib
import struct

import pytest

from hybrid_sync.ids.guard import Stored, agrees
from hybrid_sync.ids.idmap import PAGE, WIDTH

ALL = {key: bytes([key % 250 + 1]) * WIDTH for key in range(-PAGE, PAGE)}
SOME = {key: uuid for key, uuid in ALL.items() if key % 3}


def page(ids: dict[int, bytes], number: int = 0) -> bytes:
    keys = range(number * PAGE, (number + 1) * PAGE)
    return b"".join(ids.get(key, bytes(WIDTH)) for key in keys)


def stored(ids: dict[int, bytes], low: int, high: int) -> Stored:
    """As the target tells it of the rows from `low` to before `high`."""
    keys = sorted(key for key in ids if low <= key < high)
    sent = struct.pack(f">{len(keys)}q", *keys)
    digests = [hashlib.md5(one).hexdigest() for one in (b"".join(ids[key] for key in keys), sent)]
    return Stored(keys[0], keys[-1], len(keys), *digests)


@pytest.mark.parametrize("ids", [ALL, SOME], ids=["all", "with gaps"])
@pytest.mark.parametrize(("number", "low", "high"), [(0, 0, PAGE), (0, 7, 400), (0, 499, 500), (-1, -PAGE, -1)])
def test_a_page_that_holds_what_the_target_has_agrees(ids: dict[int, bytes], number: int, low: int, high: int) -> None:
    assert agrees(page(ids, number), stored(ids, low, high))


@pytest.mark.parametrize("ids", [ALL, SOME], ids=["all", "with gaps"])
def test_two_ids_in_each_others_place_do_not_agree(ids: dict[int, bytes]) -> None:
    assert not agrees(page({**ids, 7: ids[8], 8: ids[7]}), stored(ids, 0, PAGE))


def test_the_same_ids_under_other_keys_do_not_agree() -> None:
    moved = {key: uuid for key, uuid in SOME.items() if key != 7} | {6: SOME[7]}
    assert not agrees(page(moved), stored(SOME, 0, PAGE))


@pytest.mark.parametrize("ids", [ALL, SOME], ids=["all", "with gaps"])
def test_a_page_that_lacks_an_id_or_is_cut_off_does_not_agree(ids: dict[int, bytes]) -> None:
    lacking = {key: uuid for key, uuid in ids.items() if key != 7}
    assert not agrees(page(lacking), stored(ids, 0, PAGE))
    assert not agrees(page(ids)[:-WIDTH], stored(ids, 0, PAGE))

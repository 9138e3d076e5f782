"""One refused item costs that item, whatever stands beside it."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest

from hybrid_sync.halve import Refused, halve
from tests.properties import given, st


@given(size=st.integers(0, 80), bad=st.sets(st.integers(0, 79)), parts=st.integers(2, 9))
def test_the_refused_items_stand_alone_and_all_others_are_done_once_and_in_order(
    size: int, bad: set[int], parts: int
) -> None:
    done: list[int] = []

    def attempt(some: Sequence[int]) -> None:
        if bad.intersection(some):
            raise psycopg.DataError
        done.extend(some)

    refused = halve(range(size), attempt, lambda error, some: None, parts)
    assert [one.item for one in refused] == [item for item in range(size) if item in bad]
    assert done == [item for item in range(size) if item not in bad]


def test_an_error_that_no_item_is_to_blame_for_passes_through() -> None:
    def attempt(some: Sequence[int]) -> None:
        raise psycopg.OperationalError("the connection is lost")

    def require_item(error: psycopg.Error, some: Sequence[int]) -> None:
        raise error

    with pytest.raises(psycopg.OperationalError):
        halve([1, 2], attempt, require_item)


def test_what_the_attempt_itself_refuses_is_not_asked_about() -> None:
    def attempt(some: Sequence[int]) -> None:
        raise Refused("ZS001")

    def require_item(error: psycopg.Error, some: Sequence[int]) -> None:
        raise AssertionError

    assert [(one.item, one.sqlstate) for one in halve([7], attempt, require_item)] == [(7, "ZS001")]

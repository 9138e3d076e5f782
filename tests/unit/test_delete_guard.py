"""When a person is asked before rows go: the rules, without a database."""

from __future__ import annotations

import pytest

from hybrid_sync.catalog.models import OnDelete
from hybrid_sync.deletes.guard import Going, asks

USUAL = OnDelete(policy="hard")


@pytest.mark.parametrize(
    ("live", "free"),
    [
        (1, 0), (2, 1), (3, 1), (14, 7), (19, 9), (20, 10), (60, 10), (500, 10), (550, 11), (1_000, 20), (4_040, 80),
        (500_000, 10_000), (2_000_000, 10_000),
    ],
)  # fmt: skip
def test_when_a_person_is_asked(live: int, free: int) -> None:
    """`free` rows go without a word, one more does not."""
    assert not asks(USUAL, Going(free), live)
    assert asks(USUAL, Going(free + 1), live)


def test_nothing_goes_nobody_is_asked() -> None:
    assert not asks(USUAL, Going(0, lately=50), 10)
    assert not asks(USUAL, Going(0, kept=10), 10)


@pytest.mark.parametrize(
    ("policy", "live", "free"),
    [
        (OnDelete(policy="hard", floor=100), 1_000, 100), (OnDelete(policy="hard", share=0.29), 100, 29),
        (OnDelete(policy="hard", cap=5), 1_000_000, 5), (OnDelete(policy="hard", floor=0, share=0), 100, 0),
        (OnDelete(policy="hard", floor=500, share=1, cap=10**9), 100, 50),
    ],
)  # fmt: skip
def test_the_catalog_replaces_floor_share_and_cap_and_no_more(policy: OnDelete, live: int, free: int) -> None:
    assert not asks(policy, Going(free), live)
    assert asks(policy, Going(free + 1), live)


def test_what_went_lately_counts_as_if_it_went_now() -> None:
    assert not asks(USUAL, Going(4, lately=6), 94)
    assert asks(USUAL, Going(5, lately=6), 94)
    assert asks(USUAL, Going(1, lately=2), 2), "three of four"


def test_rows_that_only_others_keep_do_not_hide_that_all_are_gone() -> None:
    assert asks(USUAL, Going(1, kept=4), 5)
    assert not asks(USUAL, Going(1, kept=3), 5)


def test_the_names_of_earlier_releases_still_say_floor_and_share() -> None:
    assert OnDelete.model_validate({"policy": "hard", "max_rows": 3, "max_share": 0.5}) == OnDelete(
        policy="hard", floor=3, share=0.5
    )

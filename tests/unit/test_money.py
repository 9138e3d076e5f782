"""Money is equal only when both servers and both computations say the same number; it agrees when nothing is left."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hybrid_sync.catalog.models import Money
from hybrid_sync.compare.amounts import Sums, Tally, add
from hybrid_sync.compare.money import TwoWays, lines
from hybrid_sync.compare.row_states import RowState
from hybrid_sync.recorded.money import MoneyLine

TOTAL = Money(column="total", constant_currency="USD")


def sums(amount: str, rows: int = 1, place: RowState = RowState.current) -> Sums:
    return {("USD", None, place): Tally(Decimal(amount), rows)}


def side(server: str, stream: str | None = None) -> TwoWays:
    return TwoWays(sums(server), sums(stream or server))


def both(*parts: Sums) -> TwoWays:
    together: Sums = {}
    for part in parts:
        add(together, part)
    return TwoWays(together, together)


def line(ours: TwoWays, theirs: TwoWays) -> MoneyLine:
    [only] = lines(TOTAL, ours, theirs)
    return only


def test_the_same_number_is_equal_however_many_decimals_it_is_written_with() -> None:
    found = line(side("10.50"), side("10.5"))
    assert (found.equal, found.agrees, found.missing) == (True, True, Decimal(0))


def test_a_cent_makes_a_difference() -> None:
    assert not line(side("10.50"), side("10.51")).equal


def test_an_amount_that_is_no_number_is_never_equal_not_even_to_itself() -> None:
    odd = both({("USD", None, RowState.current): Tally(Decimal(1), 2, 0, 1)})
    assert not line(odd, odd).equal


@pytest.mark.parametrize("place", list(RowState))
@pytest.mark.parametrize("ours", [True, False])
def test_two_computations_that_disagree_on_one_side_are_not_equal(ours: bool, place: RowState) -> None:
    torn, whole = TwoWays(sums("10.50", 1, place), sums("10.49", 1, place)), TwoWays()
    assert not (line(torn, whole) if ours else line(whole, torn)).equal


def test_the_same_sum_of_another_number_of_rows_is_not_equal() -> None:
    assert not line(both(sums("5")), both(sums("5", 2))).equal


def test_an_empty_amount_is_not_zero() -> None:
    empty = both({("USD", None, RowState.current): Tally(Decimal(0), 1, 1)})
    assert not line(empty, both(sums("0"))).equal


def test_an_amount_that_only_one_side_has_is_a_line_of_its_own() -> None:
    assert not line(side("5"), TwoWays()).equal


def test_every_amount_of_legacy_is_in_one_term_and_what_the_target_lacks_is_told() -> None:
    ours = both(
        sums("100"), sums("2000010", 1, RowState.stale), sums("7", 2, RowState.absent), sums("3", 1, RowState.excluded),
        sums("1", 1, RowState.in_flight),
    )  # fmt: skip
    theirs = both(sums("100"), sums("10", 1, RowState.stale), sums("0.5", 1, RowState.in_flight))
    found = line(ours, theirs)
    assert (found.equal, found.agrees) == (True, False)
    assert (found.legacy, found.target, found.missing) == (Decimal(2000121), Decimal("110.5"), Decimal("2000007.5"))
    terms = found.current + found.stale + found.absent + found.excluded + found.in_flight + found.unexplained
    assert terms == found.legacy
    assert (found.rows, found.current_rows, found.stale_rows, found.absent_rows, found.excluded_rows) == (6, 1, 1, 2, 1)


@pytest.mark.parametrize("place", [RowState.stale, RowState.absent, RowState.missing])
def test_money_agrees_only_when_no_row_of_it_is_left(place: RowState) -> None:
    assert not line(both(sums("5"), sums("0", 1, place)), both(sums("5"))).agrees


def test_money_that_only_the_target_has_does_not_agree_also_where_it_adds_up_to_nothing() -> None:
    gone: Sums = {("USD", None, RowState.gone): Tally(Decimal(0), 2)}
    found = line(both(sums("5")), both(sums("5"), gone))
    assert (found.equal, found.agrees, found.pending_rows, found.missing) == (True, False, 2, Decimal(0))


def test_a_row_without_an_amount_that_legacy_has_no_more_changes_no_sum() -> None:
    empty: Sums = {("USD", None, RowState.gone): Tally(Decimal(0), 1, 1)}
    assert line(both(sums("5")), both(sums("5"), empty)).agrees


def test_a_stale_row_whose_currency_has_changed_leaves_neither_currency_agreeing() -> None:
    ours: Sums = {("EUR", None, RowState.stale): Tally(Decimal(5), 1)}
    theirs: Sums = {("USD", None, RowState.stale): Tally(Decimal(5), 1)}
    found = lines(TOTAL, TwoWays(ours, ours), TwoWays(theirs, theirs))
    assert [(one.currency, one.agrees, one.missing) for one in found] == [
        ("EUR", False, Decimal(5)), ("USD", False, Decimal(-5))
    ]  # fmt: skip


def test_sums_never_lose_a_digit() -> None:
    total: Sums = {}
    add(total, sums("1e50"))
    add(total, sums("1e-50"))
    assert format(total["USD", None, RowState.current].amount, "f") == "1" + "0" * 50 + "." + "0" * 49 + "1"

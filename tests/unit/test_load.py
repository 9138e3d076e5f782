"""How many batches may be at work: halved by trouble, one more after some good ones, all of them in the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hybrid_sync.breaker.load import GOOD, LASTS, PAUSE, Load, halved, permit_returned, sentence, with_permit

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
WORKERS = 12


def press(load: Load, after: timedelta = timedelta()) -> Load:
    return halved(load, "target answered 55P03 (busy).", WORKERS, NOON + after)


def well(load: Load, batches: int, after: timedelta = timedelta()) -> Load:
    for n in range(batches):
        load = permit_returned(with_permit(load, f"b{n}", NOON + after), f"b{n}", WORKERS, NOON + after, well=True)
    return load


def test_trouble_halves_their_number_once_however_many_meet_it_and_again_when_it_lasts() -> None:
    once = press(Load())
    assert once.most == WORKERS // 2
    assert press(once, PAUSE / 2) == once
    numbers = []
    for n in range(1, 5):
        once = press(once, n * PAUSE)
        numbers.append(once.most)
    assert numbers == [3, 1, 1, 1]
    assert sentence(once, NOON + 4 * PAUSE) == (
        "At most 1 batch is at work at once since 12:01 UTC: target answered 55P03 (busy)."
    )
    assert sentence(Load(), NOON) == ""


def test_no_more_than_that_have_a_permit_and_whoever_comes_again_has_the_one_that_it_had() -> None:
    load = press(Load())
    for n in range(WORKERS):
        load = with_permit(load, f"b{n}", NOON)
    assert sorted(load.at_work) == [f"b{n}" for n in range(WORKERS // 2)]
    assert with_permit(load, "b0", NOON + PAUSE).at_work["b0"] == NOON + PAUSE
    freed = permit_returned(load, "b0", WORKERS, NOON, well=False)
    assert "late" in with_permit(freed, "late", NOON).at_work
    assert freed.good == 0


def test_batches_that_go_well_make_it_one_more_and_in_the_end_nothing_is_shed() -> None:
    load = press(Load())
    assert well(load, GOOD - 1).most == WORKERS // 2
    assert well(load, GOOD).most == WORKERS // 2 + 1
    assert press(well(load, GOOD - 1), PAUSE).good == 0
    assert well(load, GOOD * (WORKERS // 2)) == Load()


def test_without_trouble_for_long_nothing_is_shed_and_no_permit_of_the_dead_is_kept() -> None:
    load = with_permit(press(Load()), "dead", NOON)
    assert with_permit(load, "b", NOON + LASTS) == Load()
    assert permit_returned(load, "dead", WORKERS, NOON + LASTS, well=True) == Load()
    assert sentence(load, NOON + LASTS) == ""
    again = press(load, LASTS)
    assert (again.most, again.at_work) == (WORKERS // 2, {})
    assert with_permit(Load(), "b", NOON) == Load()

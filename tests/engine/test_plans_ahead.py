"""A worker that meets a run's first entity compiles the others with it, and is not held up by one of them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from hybrid_sync import opening
from hybrid_sync.schema import plans
from hybrid_sync.schema.plans import plan_for
from tests.engine.six_tables import counted

ALL = ("offices", "customers", "products", "purchases", "lines", "payments")


@pytest.fixture(autouse=True)
def another_worker() -> None:
    plans._recent.clear()
    plans._ahead.clear()


@pytest.fixture
def lasting_locks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A lock is waited for as long as a statement may take, and that is not long."""
    monkeypatch.setitem(opening.TRANSACTION_SETTINGS, "lock_timeout", "0")
    monkeypatch.setitem(opening.TRANSACTION_SETTINGS, "statement_timeout", "5s")
    opening.opening.cache_clear()
    yield
    opening.opening.cache_clear()


def test_neither_database_is_asked_for_the_second_entity_of_a_run(legacy_db: str, target_db: str) -> None:
    with counted(legacy_db, target_db) as six:
        world = six.world
        with world.connect_legacy() as legacy, world.connect_target() as target:
            first = plan_for("r", "offices", world.catalog, legacy, target, ALL)
            six.take()
            others = [plan_for("r", name, world.catalog, legacy, target, ALL) for name in ALL[1:]]
            assert (six.legacy.take().waits, six.target.take().waits) == (0, 0)
            plans._recent.clear()
            # Each alone is the same: what is asked together says no more and no less.
            alone = [plan_for("r", name, world.catalog, legacy, target) for name in ALL]
            assert [plan.as_planned for plan in alone] == [plan.as_planned for plan in (first, *others)]


def test_a_run_of_few_entities_is_asked_of_them_alone(legacy_db: str, target_db: str) -> None:
    with counted(legacy_db, target_db) as six:
        world = six.world
        with world.connect_legacy() as legacy, world.connect_target() as target:
            plan_for("r", "offices", world.catalog, legacy, target, ALL[:2])
    assert sorted(str(place[1]) for place in plans._recent) == ["customers", "offices"]


@pytest.mark.usefixtures("lasting_locks")
def test_a_table_that_somebody_keeps_locked_does_not_hold_up_the_plan_of_another(
    legacy_db: str, target_db: str
) -> None:
    with counted(legacy_db, target_db) as six:
        world = six.world
        with (
            psycopg.connect(legacy_db) as owner, world.connect_legacy() as legacy, world.connect_target() as target,
        ):  # fmt: skip
            owner.execute("lock table payment in access exclusive mode")
            plan_for("r", "offices", world.catalog, legacy, target, ALL)
            assert [place[1] for place in plans._recent] == ["offices"]
            # It is not tried again: what is locked would be waited for once more, with each entity.
            six.take()
            plan_for("r", "customers", world.catalog, legacy, target, ALL)
            assert [place[1] for place in plans._recent] == ["offices", "customers"]
            assert not any("payment" in sent for sent in six.legacy.statements)

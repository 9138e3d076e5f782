"""The life of a row is told under whatever names the catalog gave to its entity and source."""

from __future__ import annotations

from typing import cast

import pytest

from hybrid_sync.contracts import Ref
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.history import history
from hybrid_sync.services.messages.records import HistoryAsked
from tests.engine.conftest import _runner
from tests.engine.small import small_world
from tests.engine.test_called_otherwise import LEGACY, NAMES, TARGET, _entity, _started, _with
from tests.engine.worlds import EngineWorld, run


def told(world: EngineWorld, entity: str, key: int) -> list[tuple[str, str]]:
    asked = HistoryAsked(ref=Ref(entity=entity, legacy_id=key))
    return [(one.run_id, one.what) for one in reversed(history(cast(Desk, world), asked, "").events)]


@pytest.mark.parametrize("names", NAMES)
def test_what_was_written_under_other_names_is_told(legacy_db: str, target_db: str, names: tuple[str, str]) -> None:
    world, legacy, _ = _started(legacy_db, target_db)
    legacy("update things set n = n + 10 where id = 3")
    run(world, "second", profile="on_demand", refs=(Ref(entity="things", legacy_id=3),))
    renamed = _with(world, _entity(*names))
    before = [("first", "inserted"), ("second", "updated"), ("second", "asked")]
    assert told(renamed, names[0], 3) == before
    for run_id, n in (("third", 33), ("fourth", 133)):
        legacy(f"update things set n = {n} where id = 3")
        run(renamed, run_id)
    assert told(renamed, names[0], 3) == [*before, ("third", "updated"), ("fourth", "failed")]


def test_what_other_rows_of_the_name_went_through_is_not_told(legacy_db: str, target_db: str) -> None:
    entities = [_entity("things", "rows"), _entity("firms", "rows", table="firms")]
    world = small_world(legacy_db, target_db, LEGACY, TARGET, *entities)
    legacy = _runner(legacy_db)
    run(world, "first")
    legacy("update things set n = 7 where id = 3; update firms set n = -7 where id = 4")
    run(world, "second")
    exchanged = _with(world, _entity("firms", "rows"), _entity("things", "rows", table="firms"))
    legacy("update things set n = 8 where id = 3; update firms set n = -8 where id = 5")
    run(exchanged, "third")
    first = ("first", "inserted")
    assert told(exchanged, "firms", 3) == [first, ("second", "updated"), ("third", "updated")]
    assert told(exchanged, "things", 3) == [first]
    assert told(exchanged, "things", 4) == [first, ("second", "updated")]
    assert told(exchanged, "firms", 5) == [first]
    assert told(exchanged, "things", 5) == [first, ("third", "updated")]

"""What `install` grants is what a worker needs to insert rows: the sequences of columns that nobody maps, too."""

from __future__ import annotations

from hybrid_sync.schema.install import install
from tests.conftest import PASSWORD
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

MAY = "select has_sequence_privilege('hybrid_sync_worker', '{}', 'usage')"


def test_a_serial_column_that_nobody_maps_is_filled_when_the_worker_inserts(
    world: EngineWorld, target: Query, target_db: str
) -> None:
    target("alter table visits add ticket serial")
    target("create sequence unrelated")
    install(target_db, PASSWORD, world.catalog)

    assert run(world, "first").outcome.status == "succeeded"

    assert target("select count(distinct ticket) = count(*) from visits") == [(True,)]
    assert target(MAY.format("visits_ticket_seq")) == [(True,)]
    assert target(MAY.format("unrelated")) == [(False,)], "and nothing more"

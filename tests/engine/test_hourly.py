"""An hourly run carries what is critical, with what that refers to, by the fence alone."""

from __future__ import annotations

import pytest

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Priority
from hybrid_sync.errors import RequestRejected
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


def test_what_is_critical_arrives_with_its_parents_and_the_rest_waits(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    legacy("insert into person (id, email) values (700, 'new@example.org')")
    legacy("insert into visit (id, person_id) values (700, 700)")
    legacy("insert into invoice (id, visit_id, total) values (700, 700, 12.50)")
    legacy("insert into remark (id, person_id, body) values (700, 700, 'later')")
    hourly = run(world, "hour", profile="hourly")
    planned = {task.entity for task in hourly.plan.entities}
    assert planned == {"invoices", "visits", "people", "clinics"}
    assert target("select total::text from invoices where legacy_id = 700") == [("12.50",)]
    [visit] = target("select v.legacy_id from visits v join invoices i on i.visit_id = v.id where i.legacy_id = 700")
    assert visit == (700,)
    compared = "select from hybrid_sync.run_entity where run_id = 'hour' and reconcile is not null"
    assert target(compared) == [], "only a weekly run compares every row"
    assert not any("remark" in name for name in planned)
    run(world, "day", profile="daily")
    carried = "select read from (select (result->>'read')::int as read, run_id, entity from hybrid_sync.batch_done) b"
    assert target(f"{carried} where run_id = 'day' and entity = 'invoices' and read > 0") == []


def test_a_catalog_without_a_critical_entity_has_no_hourly_run(world: EngineWorld) -> None:
    plain = {
        name: entity.model_copy(update={"priority": Priority.normal}) for name, entity in world.catalog.entities.items()
    }
    world.catalog = Catalog(plain)
    with pytest.raises(RequestRejected, match="No entity of the catalog is critical"):
        run(world, "hour", profile="hourly")

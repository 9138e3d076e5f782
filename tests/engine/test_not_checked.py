"""A scheduled run begins once its catalog has passed a check, and a run by hand at once."""

from __future__ import annotations

import pytest

from hybrid_sync.admission.startable import CheckRequest
from hybrid_sync.check.model import StartedCheck
from hybrid_sync.errors import NotChecked
from hybrid_sync.steps.check_deployment import check_deployment
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

CHECK = StartedCheck(check_id="check-1", request=CheckRequest())


def test_a_schedule_waits_for_a_passed_check_and_a_person_does_not(world: EngineWorld) -> None:
    with pytest.raises(NotChecked, match=r"(?s)has not been checked since .*hybrid-sync check"):
        run(world, "weekly-1", trigger="schedule")
    [(subject, body)] = world.alerts.published
    assert "before it began" in subject and "not_checked" in body and "hybrid-sync check" in body
    run(world, "weekly-2", trigger="hand", entities=["clinics"])
    assert check_deployment(world, CHECK).passed
    run(world, "weekly-3", trigger="schedule", entities=["clinics"])


def test_another_catalog_wants_another_check_and_one_that_failed_is_named(world: EngineWorld, target: Query) -> None:
    assert check_deployment(world, CHECK).passed
    target("update hybrid_sync.deployment_check set catalog_hash = 'another'")
    with pytest.raises(NotChecked, match="not been checked"):
        run(world, "weekly-1", trigger="schedule")
    target("alter table clinics drop column name")
    assert not check_deployment(world, CHECK.model_copy(update={"check_id": "check-2"})).passed
    with pytest.raises(NotChecked, match="its last one, check-2, found errors"):
        run(world, "weekly-2", trigger="schedule")

"""In which order a run carries and verifies tables of known sizes."""

from __future__ import annotations

import pytest

from hybrid_sync.contracts import Profile, RunRequest
from hybrid_sync.steps.plan_run import plan_run
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld


@pytest.mark.parametrize("profile", [Profile.daily, Profile.weekly])
def test_the_largest_tables_of_legacy_are_verified_first_unless_a_reconcile_heals(
    world: EngineWorld, legacy: Query, profile: Profile
) -> None:
    legacy("insert into remark (id, person_id, body) select n, 1, repeat('x', 900) from generate_series(1000, 1200) n")
    legacy("vacuum analyze")
    planned = plan_run(world, RunRequest(run_id="sized", profile=profile))
    names = [task.entity for task in planned.entities]
    in_waves = [name for wave in world.catalog.waves() for name in wave]
    assert sorted(names) == sorted(in_waves)
    assert (names[0] == "messages") == (profile is Profile.daily)
    assert (names == in_waves) == (profile is Profile.weekly)


def test_a_repeated_delivery_returns_the_plan_of_the_first(world: EngineWorld, legacy: Query) -> None:
    legacy("vacuum analyze")
    request = RunRequest(run_id="twice", profile=Profile.daily)
    assert plan_run(world, request) == plan_run(world, request)

"""A right that is taken away in the middle of a run is named with its remedy, wherever the server met with that."""

from __future__ import annotations

import psycopg
import pytest

from hybrid_sync.errors import MissingPrivilege, StructureMismatch
from hybrid_sync.failpoints import armed
from hybrid_sync.postgres import transaction
from tests.engine.bulk import Do
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run
from tests.servers.projects import Projects

WORKER = "hybrid_sync_worker"


@pytest.mark.parametrize(
    ("point", "taken", "given", "told"),
    [
        ("run.recorded", f"revoke usage on schema public from {WORKER}, public",
         f"grant usage on schema public to {WORKER}, public", "schema public"),
        ("batch.before_commit", f"revoke insert on hybrid_sync.failed_record from {WORKER}",
         f"grant insert on hybrid_sync.failed_record to {WORKER}", "table failed_record"),
    ],
)  # fmt: skip
def test_a_right_that_our_own_functions_miss_is_named_with_its_remedy(
    world: EngineWorld, projects: Projects, legacy: Query, target: Query, point: str, taken: str, given: str, told: str
) -> None:
    run(world, "first")
    name = str(psycopg.conninfo.conninfo_to_dict(world.target_dsn)["dbname"])

    def tell(statement: str) -> None:
        with psycopg.connect(projects.server.dsn(name), autocommit=True) as server:
            server.execute(statement.encode())

    legacy("update clinic set name = 'South' where id = 2; update clinic set country = 'XX' where id = 1")
    with armed({point: Do(lambda: tell(taken))}):
        assert run(world, "second", profile="daily").outcome.status == "failed"
    causes = [
        cause for (cause,) in target("select cause from hybrid_sync.run_failure where error = 'missing_privilege'")
    ]
    assert any(f"permission denied for {told}" in cause and "hybrid-sync install" in cause for cause in causes)
    tell(given)
    legacy("update clinic set country = 'US' where id = 1")
    assert run(world, "third", profile="daily").outcome.status == "succeeded"
    assert target("select name from clinics where legacy_id = 2") == [("South",)]


@pytest.mark.parametrize(
    ("body", "kind"),
    [("select count(*) from secret", MissingPrivilege), ("select count(*) from gone", StructureMismatch)],
)
def test_a_function_of_legacy_in_sql_costs_what_uses_it_and_is_no_riddle(
    world: EngineWorld, legacy: Query, body: str, kind: type[Exception]
) -> None:
    legacy("create table secret (n int); create table gone (n int); create role nobody_here; set role postgres")
    try:
        legacy(f"create function counted() returns bigint language sql volatile as '{body}'")
        legacy("drop table gone")
        with (
            world.connect_legacy() as connection,
            pytest.raises(kind),
            transaction(connection, "legacy", read_only=True, path=("public",)),
        ):
            connection.execute("set local role nobody_here; select counted()")
    finally:
        legacy("drop role nobody_here")

"""A check writes nothing but its result: roles without any right to write see all the same."""

from __future__ import annotations

from psycopg import sql

from hybrid_sync.admission.startable import CheckRequest
from hybrid_sync.check.model import Severity, StartedCheck
from hybrid_sync.postgres import connect
from hybrid_sync.steps.check_deployment import check_deployment
from tests.check.conftest import WORKER, Pair, execute


def test_a_role_that_may_write_nothing_sees_everything_and_changes_nothing(pair: Pair) -> None:
    execute(
        pair.target,
        f"revoke insert, update, delete, truncate on all tables in schema public, hybrid_sync from {WORKER}",
        f"revoke execute on all functions in schema hybrid_sync from {WORKER}",
        "alter database {db} set default_transaction_read_only = on",
    )
    execute(pair.legacy, "alter database {db} set default_transaction_read_only = on")
    before = written(pair)
    outcome = check_deployment(pair.world, StartedCheck(check_id="check-1", request=CheckRequest()))
    assert written(pair) == before
    found = {f.code for f in outcome.findings if f.severity is not Severity.note}
    assert found == {"missing_privilege", "target_read_only", "not_stored"}
    [stored] = [f for f in outcome.findings if f.code == "not_stored"]
    assert stored.severity is Severity.error and not outcome.passed


def test_the_result_is_stored_for_this_catalog_and_safe_to_repeat(pair: Pair) -> None:
    for _ in range(2):
        outcome = check_deployment(pair.world, StartedCheck(check_id="check-1", request=CheckRequest()))
    assert outcome.passed
    with connect(pair.target, "target") as target:
        rows = target.execute("select check_id, catalog_hash, passed, report from hybrid_sync.deployment_check")
        assert rows.fetchall() == [("check-1", pair.world.catalog.hash, True, "memory://check-1")]
    report = pair.world.reports.documents["check-1"]
    assert report["passed"] and {f["code"] for f in report["findings"]} >= {"reached", "entities"}


def written(pair: Pair) -> list[object]:
    """What every row of every table was last written by, and where it lies."""
    found: list[object] = []
    for dsn in (pair.legacy, pair.target):
        with connect(dsn, "target") as owner:
            tables = owner.execute(
                "select schemaname, tablename from pg_tables"
                " where schemaname in ('public', 'hybrid_sync') order by 1, 2"
            ).fetchall()
            for place in tables:
                query = sql.SQL("select tableoid, xmin::text, ctid::text from {} order by 1, 3")
                found.append((place, owner.execute(query.format(sql.Identifier(*place))).fetchall()))
    return found

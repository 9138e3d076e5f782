"""One run, one version: what planned a run carries it to its report, and a fence moves under that definition alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.load import load
from hybrid_sync.contracts import RunOutcome
from tests.engine.conftest import DOMAIN, Query
from tests.engine.worlds import EngineWorld, execution, functions_of, run
from tests.flow.conduct import conduct

PLAYED = (
    "plan_entity", "sync_batch", "settle_uniques", "link_references", "compare_segment", "propagate_deletes",
    "verify_entity", "report_run",
)  # fmt: skip


@pytest.fixture
def other(tmp_path: Path) -> Catalog:
    """The domain's catalog, in which e-mails keep their capitals."""
    folder = tmp_path / "catalog"
    shutil.copytree(DOMAIN / "catalog", folder)
    people = folder / "people.yaml"
    people.write_text(people.read_text("utf-8").replace("{lower: p.email}", "p.email"), "utf-8")
    return load(folder)


def emails(target: Query) -> list[str]:
    return [email for (email,) in target("select email from people where legacy_id in (1, 2) order by legacy_id")]


@pytest.fixture
def synced(world: EngineWorld, legacy: Query, target: Query) -> EngineWorld:
    """Carried over once, and then changed in legacy and in the target, so that a weekly run has all of its work."""
    run(world, "first")
    legacy("update person set email = 'One@Example.org', updated_at = now() where id = 1")
    target("update people set email = 'drift@example.org' where legacy_id = 2")
    legacy("update person set email = upper(email) where id = 2")
    world.segment_rows = 1
    return world


def deployed_before(world: EngineWorld, function: str, *, catalog: Catalog | None = None, build: str = "") -> str:
    """Play a weekly run, and deploy when this function comes next; how the run ended."""
    functions, played = functions_of(world), execution(world, "second", profile="weekly")
    conduct(played, functions, until=lambda delivery: delivery.function == function)
    assert played.ready, f"{function} is not played"
    world.catalog, world.build = catalog or world.catalog, build
    conduct(played, functions)
    [(_, outcome)] = functions.said(RunOutcome)
    return outcome.status


@pytest.mark.parametrize("function", PLAYED)
def test_a_catalog_that_changes_in_mid_run_fails_the_run_and_the_next_one_reads_all_by_the_new_one(
    synced: EngineWorld, other: Catalog, target: Query, function: str
) -> None:
    assert deployed_before(synced, function, catalog=other) == "failed"
    codes = target("select distinct error from hybrid_sync.run_failure where run_id = 'second'")
    causes = target("select cause from hybrid_sync.run_failure where run_id = 'second'")
    assert ("other_version",) in codes or any("other_version" in cause for (cause,) in causes)
    definitions = target("select definition_hash from hybrid_sync.fence where entity = 'people'")
    assert not definitions[0][0].startswith(other.hash_of("people"))
    assert run(synced, "third").outcome.status == "succeeded"
    assert emails(target) == ["One@Example.org", "PERSON2@EXAMPLE.ORG"]


def test_code_that_changes_in_mid_run_fails_the_run(synced: EngineWorld, target: Query) -> None:
    assert deployed_before(synced, "verify_entity", build="newer") == "failed"
    causes = target("select cause from hybrid_sync.run_failure where run_id = 'second' and entity = 'people'")
    assert "planned by build (none) and carried by newer" in causes[0][0]
    assert "make deploy" in causes[0][0]


def test_a_run_that_keeps_its_version_moves_no_fence_that_a_newer_run_has_crossed(
    synced: EngineWorld, other: Catalog, target: Query
) -> None:
    """The older one may write rows by its own definition behind the back of the newer one's fence."""
    older = synced.catalog
    functions, played = functions_of(synced), execution(synced, "second", profile="daily")
    conduct(played, functions, until=lambda delivery: delivery.function == "sync_batch")
    synced.catalog = other
    newer = run(synced, "third")
    assert newer.outcome.status == "succeeded"
    assert newer.verdicts["people"].fence_advanced is False
    synced.catalog = older
    conduct(played, functions)
    assert emails(target)[0] == "one@example.org"
    synced.catalog = other
    assert run(synced, "fourth").outcome.status == "succeeded"
    assert emails(target)[0] == "One@Example.org"
    assert run(synced, "fifth").verdicts["people"].fence_advanced is True

"""A full disk under the target is an outage: nothing half-written, and the same batch succeeds when there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from hybrid_sync.catalog.load import load
from hybrid_sync.contracts import EntityTask, RunRequest
from hybrid_sync.errors import TargetUnavailable
from hybrid_sync.schema.install import install
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.sync_batch import sync_batch
from hybrid_sync_cli.stack import home, supabase
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import Processes
from tests.conftest import PASSWORD
from tests.engine.conftest import DOMAIN
from tests.engine.worlds import EngineWorld, run

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 and not os.environ.get("CI"), reason="mounting a small disk needs root; CI has it"
)


@pytest.fixture
def small_disk(session_home: Path) -> Iterator[Path]:
    """A file system of 300 MB of its own."""
    place = home.reachable(session_home) / "small"
    place.mkdir(mode=0o755, parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m,mode=755", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def cramped(small_disk: Path, session_home: Path, legacy_db: str) -> Iterator[EngineWorld]:
    target = Cluster("cramped", small_disk / "t", supabase.SUPERUSER, PASSWORD, Processes(session_home))
    target.ensure()
    try:
        supabase.bootstrap(target.dsn(), admin_password=PASSWORD, authenticator_password=PASSWORD)
        owner = target.dsn("postgres", supabase.ADMIN, PASSWORD)
        for dsn, script in ((legacy_db, "legacy.sql"), (owner, "target.sql")):
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute((DOMAIN / script).read_bytes())
        catalog = load(DOMAIN / "catalog")
        yield EngineWorld(catalog, legacy_db, install(owner, PASSWORD, catalog))
    finally:
        target.destroy()


def fill(disk: Path) -> Path:
    """Leave no room."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            return ballast


def test_a_full_disk_is_transient_and_the_batch_succeeds_when_there_is_room(
    cramped: EngineWorld, small_disk: Path, legacy_db: str
) -> None:
    with psycopg.connect(legacy_db, autocommit=True) as legacy:
        # md5 text does not compress, so the batch needs megabytes that are not there.
        legacy.execute(
            "insert into remark (person_id, body) select 1 + i % 12, (select string_agg(md5((i * j)::text), '')"
            " from generate_series(1, 200) j) from generate_series(1, 4000) i"
        )
    plan_run(cramped, RunRequest(run_id="r"))
    for entity in ("clinics", "people", "messages"):
        plan_entity(cramped, EntityTask(run_id="r", entity=entity))
    for entity in ("clinics", "people"):
        sync_batch(cramped, cramped.manifests.tasks["r", entity][0])
    ballast = fill(small_disk)
    with pytest.raises(TargetUnavailable, match="its disk is full") as caught:
        sync_batch(cramped, cramped.manifests.tasks["r", "messages"][0])
    assert caught.value.transient
    ballast.unlink()
    assert sync_batch(cramped, cramped.manifests.tasks["r", "messages"][0]).inserted > 4000
    assert run(cramped, "next").outcome.status == "succeeded"

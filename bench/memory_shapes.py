"""A worker's own memory for rows of every size: what is promised is an absolute number, whatever legacy holds.

Each shape is planned and then carried by one process that does all of its batches, as a warm Lambda worker would:
first every row is new, then every row has changed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.memory_worker import Done, Order
from bench.memory_world import execute
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import Profile
from hybrid_sync.schema.install import install
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.flow.deployed import flow
from hybrid_sync_cli.stack import home
from tests.engine.worlds import EngineWorld, execution, functions_of
from tests.flow.conduct import conduct

ITEM_BYTES = 200_000
"""A line of a manifest stays below; AWS refuses one above 256 KiB."""

_LEGACY = """
create table doc (id int primary key, body text not null, raw bytea);
create table member (grp int, usr int, level int not null, primary key (grp, usr));
"""
_TARGET = """
create table docs (id uuid primary key, legacy_id bigint unique, body text not null, raw bytea);
create table members (
  id uuid primary key, legacy_grp bigint, legacy_usr bigint, level int not null, unique (legacy_grp, legacy_usr)
);
"""

CATALOG = Catalog(
    {
        "docs": Entity.model_validate(
            {
                "entity": "docs", "target": "docs",
                "sources": {
                    "doc": {
                        "from": "doc d", "key": {"legacy_id": "d.id"}, "columns": {"body": "d.body", "raw": "d.raw"},
                    }
                },
            }
        ),
        "members": Entity.model_validate(
            {
                "entity": "members", "target": "members",
                "sources": {
                    "member": {
                        "from": "member m", "key": {"legacy_grp": "m.grp", "legacy_usr": "m.usr"},
                        "columns": {"level": "m.level"},
                    }
                },
            }
        ),
    }
)  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """Rows of one entity, how they change, and how much of a worker's memory they may take, in MiB."""

    name: str
    entity: str
    rows: int
    fill: str
    change: str
    limit: int


SHAPES = (
    Shape(
        "5,000 rows of 60 kB", "docs", 5_000,
        "insert into doc select i, repeat(md5(i::text), 1920), null from generate_series(1, 5000) i",
        "update doc set body = 'changed ' || body", 256,
    ),
    Shape(
        "5 first keys of 40,000 rows", "members", 200_000,
        "insert into member select 1 + i % 5, i, i from generate_series(1, 200000) i",
        "update member set level = level + 1", 256,
    ),
    Shape(
        "one row of 50 MB", "docs", 1,
        "insert into doc select 1, repeat(md5('1'), 1000000), decode(repeat(md5('2'), 1125000), 'hex')",
        "update doc set body = 'changed ' || body", 400,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Carried:
    """What carrying a shape took: MiB at most, bytes of the longest manifest line, rows of the fullest page."""

    peak: float
    item: int
    page: int
    pages: int
    batch_size: int


def carry(
    shape: Shape, legacy: str, target: str, environment: Mapping[str, str], password: str = "only-for-benchmarks"
) -> Carried:
    """Two daily runs of the shape in two empty databases; CliError unless each row arrives in both."""
    for dsn, statements in ((legacy, _LEGACY), (target, _TARGET)):
        execute(dsn, statements)
    execute(legacy, shape.fill)
    world = EngineWorld(CATALOG, legacy, install(target, password, CATALOG))
    # Every batch is ready at once, for one worker.
    world.flow = flow(Retries=0, BatchConcurrency=0)
    peak, item, size = 0, 0, 1_000
    for run_id, expected in (("first", "inserted"), ("changed", "updated")):
        if expected == "updated":
            execute(legacy, shape.change)
        run = execution(world, run_id, profile=Profile.daily, entities=(shape.entity,), batch_size=size)
        conduct(run, functions_of(world), until=lambda delivery: delivery.function == "sync_batch")
        tasks = [delivery.payload for delivery in run.ready]
        item = max([item, *(len(json.dumps(task)) for task in tasks)])
        peak = max(peak, _work(world, tasks, environment).peak)
        with world.connect_target() as connection:
            found = connection.execute(
                "select coalesce(sum((result->>%s)::int), 0), max((result->>'read')::int), count(*)"
                " from hybrid_sync.batch_done where run_id = %s",
                (expected, run_id),
            ).fetchone()
        if found is None or found[0] != shape.rows:
            raise CliError(f"{shape.name}: {found and found[0]} rows {expected}, so its memory means nothing.")
    return Carried(peak / 1024, item, found[1], found[2], size)


def _work(world: EngineWorld, tasks: list[dict[str, Any]], environment: Mapping[str, str]) -> Done:
    """All batches in one new process."""
    order = Order(
        legacy_dsn=world.legacy_dsn, target_dsn=world.target_dsn, function="sync_batch", tasks=tuple(tasks),
        catalog=__name__,
    )  # fmt: skip
    worker = subprocess.run(
        [sys.executable, "-m", "bench.memory_worker"], input=order.model_dump_json(), capture_output=True, text=True,
        cwd=home.project_root(), env={**os.environ, **environment},
    )  # fmt: skip
    if worker.returncode:
        said = (worker.stderr.strip().splitlines() or ["nothing"])[-1]
        raise CliError(f"A worker ended: {said}")
    return Done.model_validate_json(worker.stdout.splitlines()[-1])

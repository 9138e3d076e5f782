"""The engine as a contestant, into empty tables and into tables in use."""

from __future__ import annotations

import sys
from dataclasses import replace

import psycopg
from psycopg.conninfo import make_conninfo

from bench.peers import targets
from bench.peers.engine_world import Order
from bench.peers.measure import Job
from bench.peers.peer import EVERYTHING, Peer, Phase, Place
from hybrid_sync.catalog.load import load
from hybrid_sync.contracts import Profile
from hybrid_sync.schema.install import WORKER, install

PASSWORD = "only-for-benchmarks"
NATIVES = 100
_PROFILES = {Phase.first: Profile.daily, Phase.delta: Profile.daily, Phase.idle: Profile.daily,
             Phase.check: Profile.verify}  # fmt: skip


def prepare(place: Place) -> None:
    install(place.target, PASSWORD, load(place.catalog))


def _into_tables_in_use(place: Place) -> None:
    prepare(place)
    with psycopg.connect(place.target, autocommit=True) as target:
        target.execute(targets.natives(NATIVES).encode())


def run(phase: Phase, place: Place) -> Job:
    order = Order(
        legacy=place.legacy, target=make_conninfo(place.target, user=WORKER, password=PASSWORD),
        catalog=place.catalog, folder=place.folder, run_id=f"bench-{phase}", profile=_PROFILES[phase],
        batch_size=place.batch_size, workers=place.workers,
        profile_to=place.folder / f"profile-{phase}" if place.profile else None,
    )  # fmt: skip
    return Job((sys.executable, "-m", "bench.peers.engine"), order.model_dump(mode="json"))


ENGINE = Peer(
    "engine", "engine", EVERYTHING,
    {phase: lambda place, phase=phase: run(phase, place) for phase in Phase},  # type: ignore[misc]
    targets.with_ids, prepare=prepare,
)  # fmt: skip
LIVE = replace(
    ENGINE, name="engine_live", label="engine, tables in use", jobs={Phase.first: ENGINE.jobs[Phase.first]},
    prepare=_into_tables_in_use, natives=NATIVES,
)  # fmt: skip

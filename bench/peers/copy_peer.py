"""Raw COPY | COPY by psql, the least that carries these rows: with constraints on, and built afterwards."""

from __future__ import annotations

import sys

from bench.peers import targets
from bench.peers.measure import Job
from bench.peers.peer import Does, Peer, Phase, Place
from hybrid_sync_cli.stack import binaries


def _job(place: Place, *, late: bool) -> Job:
    order = {
        "legacy": place.legacy, "target": place.target, "psql": str(binaries.find().folder / "psql"),
        "then": [targets.keys_of_numbers(), targets.foreign_keys()] if late else [],
    }  # fmt: skip
    return Job((sys.executable, "-m", "bench.peers.copy_job"), order)


COPY = Peer(
    "copy", "raw COPY, constraints on (a)", Does(constraints=True),
    {Phase.first: lambda place: _job(place, late=False)}, targets.with_numbers,
)  # fmt: skip
LATE = Peer(
    "copy_late", "raw COPY, built late (a′)", Does(constraints=True),
    {Phase.first: lambda place: _job(place, late=True)}, targets.bare_with_numbers,
)  # fmt: skip

"""Raw COPY | COPY by psql, the least that carries these rows: with constraints on, and built afterwards."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench.peers import targets
from bench.peers.measure import Job
from bench.peers.peer import Does, Peer, Phase, Place
from bench.peers.tables import TABLES, Table
from hybrid_sync_cli.stack import binaries


def carried(place: Place, *, late: bool = False, tables: Sequence[Table] = TABLES) -> Job:
    """These tables, one after the other."""
    order = {
        "tables": [table.name for table in tables],
        "legacy": place.legacy, "target": place.target, "psql": str(binaries.find().folder / "psql"),
        "then": [targets.keys_of_numbers(), targets.foreign_keys()] if late else [],
    }  # fmt: skip
    return Job((sys.executable, "-m", "bench.peers.copy_job"), order)


COPY = Peer(
    "copy", "raw COPY, constraints on (a)", Does(constraints=True),
    {Phase.first: carried}, targets.with_numbers,
)  # fmt: skip
LATE = Peer(
    "copy_late", "raw COPY, built late (a′)", Does(constraints=True),
    {Phase.first: lambda place: carried(place, late=True)}, targets.bare_with_numbers,
)  # fmt: skip

"""Where both databases are read at once, an error is told of the one that it came from."""

from __future__ import annotations

import pytest
from psycopg import sql

from hybrid_sync.compare.streams import differing_lines, lines
from hybrid_sync.errors import UNAVAILABLE, Side, SyncError
from hybrid_sync.postgres import translated
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld

_MANY = sql.SQL("select i as n, i as v from generate_series(1, 300000) i")


@pytest.mark.parametrize("side", ["legacy", "target"])
def test_a_stream_that_breaks_beside_another_one_is_told_of_its_own_side(
    world: EngineWorld, legacy: Query, target: Query, side: Side
) -> None:
    with world.connect_legacy() as ours, world.connect_target() as theirs, pytest.raises(SyncError) as told:
        broken, tell = (ours, legacy) if side == "legacy" else (theirs, target)
        process = broken.info.backend_pid
        with translated("target"), lines(ours, _MANY, 1) as left, lines(theirs, _MANY, 1) as right:
            assert (next(left), next(right)) == (((1,), "1"), ((1,), "1"))
            tell("select pg_terminate_backend(%s)", process)
            list(differing_lines(left, right))
    assert type(told.value) is UNAVAILABLE[side]

"""Two of the disasters on the session's stack, with one entity; `make drills` plays all of them, with all entities."""

from __future__ import annotations

from hybrid_sync.contracts import Profile
from hybrid_sync_cli.stack import Stack
from tests.drills.disasters import DISASTERS
from tests.drills.ground import ground
from tests.drills.play import played
from tests.stack.world import fill

SHORT = ("legacy-restored", "aws-away")


def test_what_is_gone_or_of_last_week_is_over_after_the_next_run(deployed: Stack) -> None:
    fill(deployed)
    with ground(deployed, ("offices",), Profile.weekly) as prepared:
        scores = [played(prepared, drill) for drill in DISASTERS if drill.name in SHORT]
    assert len(scores) == len(SHORT)
    assert [score.line for score in scores if not score.good] == []

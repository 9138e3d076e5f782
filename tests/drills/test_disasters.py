"""Some of the disasters on the session's stack, with one entity; `make drills` plays all of them, with all entities."""

from __future__ import annotations

import os

from hybrid_sync.contracts import Profile
from hybrid_sync_cli.stack import Stack
from tests.drills.disasters import DISASTERS
from tests.drills.ground import ground
from tests.drills.play import played
from tests.stack.world import fill

SHORT = ("aws-away", "legacy-restored")


def test_what_is_gone_or_of_last_week_is_over_after_the_next_run(deployed: Stack) -> None:
    chosen = os.environ.get("DRILLS", "").split() or SHORT
    fill(deployed)
    with ground(deployed, ("offices",), Profile.weekly) as prepared:
        scores = []
        for drill in DISASTERS:
            if drill.name in chosen:
                scores.append(played(prepared, drill))
                print(scores[-1].line, flush=True)
    assert [score.line for score in scores if not score.good] == []

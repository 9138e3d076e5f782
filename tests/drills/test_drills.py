"""Two of the drills on the session's stack, with one entity; `make drills` plays all of them, with all entities."""

from __future__ import annotations

from hybrid_sync.contracts import Profile
from hybrid_sync_cli.stack import Stack
from tests.drills.ground import ground
from tests.drills.play import played
from tests.drills.troubles import is_junk, is_renamed
from tests.stack.world import fill

DRILLS = (is_renamed("office-renamed", "dispatch_office", "address"), is_junk(120))


def test_a_trouble_is_seen_named_by_page_and_mail_and_over_in_the_end(deployed: Stack) -> None:
    fill(deployed)
    with ground(deployed, ("offices",), Profile.daily) as prepared:
        scores = [played(prepared, drill) for drill in DRILLS]
    assert [score.line for score in scores if not score.good] == []
    assert [score.by for score in scores] == ["person", "itself"]

"""What holds for every probe: it can write nothing, and what stands in the way of one hides no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from hybrid_sync.check.ground import Ground
from hybrid_sync.check.model import Finding, note
from hybrid_sync.check.probe import look, probe
from tests.engine.worlds import EngineWorld


@pytest.fixture
def ground(world: EngineWorld) -> Iterator[Ground]:
    """Both sides, as a check looks at them."""
    with ExitStack() as opened:
        legacy, target = (opened.enter_context(one) for one in (world.connect_legacy(), world.connect_target()))
        yield Ground("check-probes", world.catalog, {"legacy": legacy, "target": target}, world.now, None, 4)


@probe("target")
def writes(ground: Ground) -> Iterator[Finding]:
    """Whether a probe could write."""
    ground.rows("target", "insert into hybrid_sync.entity_state (entity) values ('nobody') returning entity")
    yield note("written", "A probe has written.")


@probe()
def breaks(ground: Ground) -> Iterator[Finding]:
    """Whether a mistake of one probe costs the others."""
    yield note("before", "This was seen.")
    raise ValueError("a cell value")


@probe()
def works(ground: Ground) -> Iterator[Finding]:
    """Whether the next one looks all the same."""
    yield note("after", "This was seen, too.")


def test_the_server_itself_refuses_what_a_probe_would_write(ground: Ground) -> None:
    [finding] = look(ground, [writes])
    assert finding.code == "could_not_look"
    assert ground.rows("target", "select entity from hybrid_sync.entity_state where entity = 'nobody'") == []


def test_a_probe_that_breaks_is_a_finding_and_hides_no_other(ground: Ground) -> None:
    found = {finding.code: finding for finding in look(ground, [breaks, works])}
    assert set(found) == {"before", "could_not_look", "after"}
    assert "ValueError" in found["could_not_look"].evidence
    assert "cell value" not in found["could_not_look"].evidence

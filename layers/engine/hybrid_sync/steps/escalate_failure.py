"""Escalate failure: what no retry could save is handed to a person, in one notification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hybrid_sync.alerts import Alert
from hybrid_sync.contracts import FailureMessage
from hybrid_sync.failures.quarantine import escalate
from hybrid_sync.failures.reasons import reason_of
from hybrid_sync.postgres import transaction
from hybrid_sync.world import World


def escalate_failure(world: World, messages: Sequence[FailureMessage]) -> int:
    """Mark the records as escalated and publish how many, by entity and reason; keys and values stay out."""
    counts: Counter[tuple[str, str]] = Counter()
    with world.connect_target() as target, transaction(target, "target"):
        for message in messages:
            counts[message.entity, message.reason] += escalate(target, message)
    lines = [
        f"{entity}: {n} × {reason}. {reason_of(reason).remedy}" for (entity, reason), n in sorted(counts.items()) if n
    ]
    if lines:
        title = f"{sum(counts.values())} failed records need a person"
        world.alerts.publish(Alert(title, (*lines, "See: hybrid-sync failures")))
    return sum(counts.values())

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
        found = sorted((what, n) for what, n in counts.items() if n)
        if found:  # before the commit: what cannot be sent is escalated and sent by the next delivery
            alert = _alert(found)
            world.alerts.publish(alert)
    return sum(counts.values())


def _alert(found: list[tuple[tuple[str, str], int]]) -> Alert:
    lines = [f"{entity}: {n} × {reason}. {reason_of(reason).remedy}" for (entity, reason), n in found]
    entities = tuple(dict.fromkeys(entity for (entity, _), _ in found))
    return Alert(
        f"{sum(n for _, n in found)} failed records need a person", tuple(lines), entities=entities,
        new=sum(n for _, n in found), command="hybrid-sync failures",
        path=f"entities/{entities[0]}" if len(entities) == 1 else "",
    )  # fmt: skip

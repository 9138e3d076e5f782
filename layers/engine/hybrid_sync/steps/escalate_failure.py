"""Escalate failure: what no retry could save is handed to a person, in one notification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hybrid_sync.alerts import Alert
from hybrid_sync.contracts import FailureMessage
from hybrid_sync.failures.quarantine import escalate
from hybrid_sync.failures.reasons import reason_of
from hybrid_sync.postgres import transaction
from hybrid_sync.runs.told import is_news
from hybrid_sync.world import World


def escalate_failure(world: World, messages: Sequence[FailureMessage], junk: int = 0) -> int:
    """Mark the records as escalated and publish how many, by entity and reason; keys and values stay out.

    `junk` bodies were no messages of ours: people hear of that, once a day, and no record is lost by it.
    """
    counts: Counter[tuple[str, str]] = Counter()
    with world.connect_target() as target, transaction(target, "target"):
        for message in messages:
            counts[message.entity, message.reason] += escalate(target, message)
        found = sorted((what, n) for what, n in counts.items() if n)
        if found:  # before the commit: what cannot be sent is escalated and sent by the next delivery
            alert = _alert(found)
            world.alerts.publish(alert)
        if junk and is_news(target, told := _junk_alert(junk)):
            world.alerts.publish(told)
    return sum(counts.values())


def _alert(found: list[tuple[tuple[str, str], int]]) -> Alert:
    lines = [f"{entity}: {n} × {reason}. {reason_of(reason).remedy}" for (entity, reason), n in found]
    entities = tuple(dict.fromkeys(entity for (entity, _), _ in found))
    return Alert(
        f"{sum(n for _, n in found)} failed records need a person", tuple(lines), entities=entities,
        new=sum(n for _, n in found), command="hybrid-sync failures",
        path=f"entities/{entities[0]}" if len(entities) == 1 else "",
    )  # fmt: skip


def _junk_alert(junk: int) -> Alert:
    lines = (
        f"At least {junk} messages in the queue of failed records are no messages of ours: somebody else has sent them,"
        " or another version. Three attempts could not read them, and they have been let go.",
        "No record is lost by it: each is in the target until it is resolved.",
    )
    return Alert(
        "the queue of failed records holds what is none of ours", lines, urgent=True, cause="queue:junk",
        remedy="Find out who may send to FailedRecordsQueue. It may be purged: the command fills it again.",
        command="hybrid-sync failures redrive --all",
    )  # fmt: skip

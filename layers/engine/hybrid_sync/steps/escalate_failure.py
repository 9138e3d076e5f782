"""Escalate failure: what no retry could save is handed to a person, once for each cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hybrid_sync.alerts import Alert
from hybrid_sync.contracts import FailureMessage
from hybrid_sync.failures.quarantine import GivenUp, escalate, given_up
from hybrid_sync.failures.reasons import reason_of
from hybrid_sync.postgres import transaction
from hybrid_sync.runs.notified import cause_of_records, is_news
from hybrid_sync.world import World


def escalate_failure(world: World, messages: Sequence[FailureMessage], junk: int = 0) -> int:
    """Mark the records as escalated and publish how many, by entity and reason; keys and values stay out.

    However many messages a cause has, people hear of it once, again when a day has passed, and when it is over.

    `junk` bodies were no messages of ours: people hear of that, once a day, and no record is lost by it.
    """
    counts: Counter[tuple[str, str]] = Counter()
    with world.connect_target() as target, transaction(target, "target"):
        for message in messages:
            counts[message.entity, message.reason] += escalate(target, message)
        causes = [(entity, reason) for (entity, reason), n in sorted(counts.items()) if n]
        # Before the commit: what cannot be sent is escalated and sent by the next delivery.
        if found := [line for line in given_up(target, causes) if is_news(target, _alert([line]))]:
            world.alerts.publish(_alert(found))
        if junk and is_news(target, alert := _junk_alert(junk)):
            world.alerts.publish(alert)
    return sum(counts.values())


def _alert(found: Sequence[GivenUp]) -> Alert:
    """One alert for causes that come together; that of a single cause has its name, so that it is sent once."""
    lines = [
        f"{one.entity}: {one.escalated} of {one.failed} × {one.reason} given up. {reason_of(one.reason).remedy}"
        for one in found
    ]
    entities = tuple(dict.fromkeys(one.entity for one in found))
    of = f" of {entities[0]} ({found[0].reason})" if len(found) == 1 else ""
    return Alert(
        f"{sum(one.escalated for one in found)} failed records{of} need a person", tuple(lines), entities=entities,
        cause=cause_of_records(found[0].entity, found[0].reason) if len(found) == 1 else "",
        new=sum(one.escalated for one in found), command="hybrid-sync failures",
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

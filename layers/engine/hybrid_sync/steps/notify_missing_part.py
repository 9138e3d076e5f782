"""Alert people that a part of the deployment was deleted without which no run starts, so that no run can report it.

The target remembers which alerts were sent: the control table may be the very part that is gone.
"""

from __future__ import annotations

from hybrid_sync.alerts import Alert
from hybrid_sync.errors import PartMissing
from hybrid_sync.postgres import transaction
from hybrid_sync.runs.notified import cause_of_part, is_news
from hybrid_sync.world import World


def notify_missing_part(world: World, missing: PartMissing) -> None:
    """Send the alert once, and again after a day; the next verified run says that it is over.

    Raises whatever keeps the alert from being sent, and then it does not count as sent.
    """
    alert = _alert(missing)
    with world.connect_target() as target, transaction(target, "target"):
        if is_news(target, alert):  # before the commit: what cannot be sent is sent a minute later
            world.alerts.publish(alert)


def _alert(missing: PartMissing) -> Alert:
    part = missing.message.partition(PartMissing.mark)[0]
    part = part[:1].lower() + part[1:]
    lines = (
        missing.message, "Nothing starts until it is there again; what legacy has meanwhile is read by the next run.",
    )  # fmt: skip
    return Alert(
        f"{part} is gone", lines, urgent=True, cause=cause_of_part(part), path="#servers",
        remedy=f"Find out who deleted it. {missing.remedy}", command="hybrid-sync repair",
    )  # fmt: skip

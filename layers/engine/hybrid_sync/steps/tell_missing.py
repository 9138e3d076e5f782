"""Tell missing: somebody has deleted a part of the deployment without which no run starts, so that no run can tell it.

The target remembers what was told, as of every other cause: the control table may be the very part that is gone.
"""

from __future__ import annotations

from hybrid_sync.alerts import Alert
from hybrid_sync.errors import PartMissing
from hybrid_sync.postgres import transaction
from hybrid_sync.runs.told import cause_of_part, is_news
from hybrid_sync.world import World


def tell_missing(world: World, missing: PartMissing) -> None:
    """Once, and again when a day has passed; the next run that is verified says that it is over.

    Raises what keeps it from being told, and then nobody counts as told.
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

"""What EventBridge Scheduler writes into a target's input, and ministack leaves out ("Adding context attributes")."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"


def fill_in_times(eventbridge: Any) -> None:
    """The attribute becomes the time for which the schedule was due: ministack looks every ten seconds."""
    original = eventbridge._invoke_target

    def invoke(target: dict[str, Any], event: dict[str, Any], schedule: dict[str, Any], *rest: Any) -> Any:
        if event.get("Source") == "aws.scheduler" and SCHEDULED_TIME in str(target.get("Input", "")):
            due = datetime.fromtimestamp(event["Time"], UTC).replace(microsecond=0)
            if schedule["ScheduleExpression"].startswith("cron"):
                due = due.replace(second=0)
            target = target | {"Input": target["Input"].replace(SCHEDULED_TIME, f"{due:%Y-%m-%dT%H:%M:%SZ}")}
        return original(target, event, schedule, *rest)

    eventbridge._invoke_target = invoke

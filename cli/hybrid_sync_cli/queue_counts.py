"""What waits in the failure queue, and how far its records have got."""

from __future__ import annotations

import time
from typing import Any

from hybrid_sync_cli.execution import target
from hybrid_sync_cli.stack import Stack

PAUSE = 0.5
_DEPTHS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
_STATES = """
select status, count(*), coalesce(sum(attempts), 0)::bigint, count(*) filter (where attempts > 0)
from hybrid_sync.failed_record group by status order by status
"""


def settle(stack: Stack, patience: float) -> dict[str, Any]:
    """Wait, at most `patience` seconds, until every record was retried and handed on; the counts then."""
    deadline = time.monotonic() + patience
    while _depth(stack, "FailedQueueUrl") + _depth(stack, "DeadLetterQueueUrl") and time.monotonic() < deadline:
        time.sleep(PAUSE)
    return counts(stack)


def counts(stack: Stack) -> dict[str, Any]:
    """Messages per queue; failed records per state, and how many retries they have had."""
    with target(stack) as connection:
        states = connection.execute(_STATES).fetchall()
    return {
        "queued": _depth(stack, "FailedQueueUrl"),
        "dead_letters": _depth(stack, "DeadLetterQueueUrl"),
        "records": {status: records for status, records, _, _ in states},
        "records_retried": sum(retried for _, _, _, retried in states),
        "retries": sum(attempts for _, _, attempts, _ in states),
    }


def _depth(stack: Stack, output: str) -> int:
    answer = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs[output], AttributeNames=list(_DEPTHS))
    return sum(int(answer["Attributes"].get(name, 0)) for name in _DEPTHS)

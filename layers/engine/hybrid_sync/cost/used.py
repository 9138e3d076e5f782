"""What runs have used, as their workers have counted it, in the items that AWS bills."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hybrid_sync.cost.bill import Usage
from hybrid_sync.cost.prices import Item
from hybrid_sync.cost.what_if import LOGGED_GB

_S3_READS = ("GetObject", "HeadBucket", "HeadObject")
_OF_SERVICE = {
    "sqs": Item.sqs_requests,
    "sns": Item.sns_publishes,
    "sesv2": Item.ses_mails,
    "secretsmanager": Item.secret_calls,
}


def used(row: Mapping[str, Any]) -> Usage:
    """One row of `hybrid_sync.run_usage`, or a sum of such; log lines are no count but a usual size for each call."""
    counted: dict[Item, float] = {
        Item.lambda_requests: row["calls"],
        Item.lambda_gb_seconds: row["milliseconds"] / 1000 * row["memory_mib"] / 1024,
        Item.transitions: row["transitions"],
        Item.read_units: row["read_units"],
        Item.write_units: row["write_units"],
        Item.log_gb: row["calls"] * LOGGED_GB,
    }
    for name, number in row["requests"].items():
        if (item := item_of(name)) is not None:
            counted[item] = counted.get(item, 0) + number
    counted[Item.sns_mails] = counted.get(Item.sns_publishes, 0)  # a topic of one address
    return {item: quantity for item, quantity in counted.items() if quantity}


def item_of(request: str) -> Item | None:
    """What a request is billed as; None where it is not, or by capacity units."""
    service, _, operation = request.partition(":")
    if service == "s3":
        return Item.s3_reads if operation in _S3_READS else Item.s3_writes
    return _OF_SERVICE.get(service)

"""The breakers in the control table: one item with a part for each database, so that one read tells of both.

Each write demands the version that was read and makes the next: rivals for one probe are one and others.  The table
may be away itself; then nobody is kept from anything, since a breaker only spares what would fail anyhow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError
from pydantic import TypeAdapter

from hybrid_sync.aws import Client, refusals
from hybrid_sync.breaker.state import SIDES, Breaker
from hybrid_sync.errors import Side

KEY = {"pk": {"S": "breakers"}}
_ATTEMPTS = 8
_BREAKER: TypeAdapter[Breaker] = TypeAdapter(Breaker)
Both = dict[Side, Breaker]


class BreakerStore:
    """The item in the control table (string key `pk`)."""

    def __init__(self, table: str, client: Client) -> None:
        self._table = table
        self._client = client

    def read(self) -> Both:
        """As they were a moment ago; a write finds out whether they still are."""
        return self._read(consistent=False)[1]

    def change(self, side: Side, rule: Callable[[Breaker], Breaker]) -> tuple[Both, bool]:
        """Both of them once a rule has been applied to one as it is now, and whether that has changed it.

        Where others write all the time, what they say stands.
        """
        for _ in range(_ATTEMPTS):
            version, both = self._read(consistent=True)
            wanted = rule(both[side])
            if wanted == both[side]:
                return both, False
            changed = {**both, side: wanted}
            if self._write(version, changed):
                return changed, True
        return both, False

    def _read(self, *, consistent: bool) -> tuple[int, Both]:
        with refusals("the control table"):
            found = self._client.get_item(TableName=self._table, Key=KEY, ConsistentRead=consistent)
        item = found.get("Item")
        if item is None:
            return 0, {side: Breaker() for side in SIDES}
        return int(item["version"]["N"]), {side: _BREAKER.validate_json(item[side]["S"]) for side in SIDES}

    def _write(self, seen: int, both: Both) -> bool:
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if seen:
            condition = {
                "ConditionExpression": "version = :seen", "ExpressionAttributeValues": {":seen": {"N": str(seen)}}
            }  # fmt: skip
        item = {**KEY, "version": {"N": str(seen + 1)}}
        item |= {side: {"S": _BREAKER.dump_json(breaker).decode()} for side, breaker in both.items()}
        with refusals("the control table"):
            try:
                self._client.put_item(TableName=self._table, Item=item, **condition)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                return False
        return True

"""A value in the control table that many change at once: each write demands the version that was read, and makes the
next, so that "read, judge, write" is one step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from botocore.exceptions import ClientError
from pydantic import TypeAdapter, ValidationError

from hybrid_sync.aws import Client, refusals

T = TypeVar("T")
_ATTEMPTS = 8


class ControlItem(Generic[T]):
    """One item of the control table (string key `pk`); `empty` is its value before the first write, and where another
    version has written it so that this one cannot read it: who is spared by it is not worth a failure."""

    def __init__(self, table: str, client: Client, name: str, kind: TypeAdapter[T], empty: T) -> None:
        self._table = table
        self._client = client
        self._key = {"pk": {"S": name}}
        self._kind = kind
        self._empty = empty

    def read(self) -> T:
        """As it was a moment ago; a write finds out whether it still is."""
        return self._read(consistent=False)[1]

    def change(self, rule: Callable[[T], T]) -> tuple[T, bool]:
        """The value once a rule has been applied to it as it is now, and whether that has changed it.

        Where others write all the time, what they say stands.
        """
        for _ in range(_ATTEMPTS):
            version, value = self._read(consistent=True)
            wanted = rule(value)
            if wanted == value:
                return value, False
            if self._write(version, wanted):
                return wanted, True
        return value, False

    def _read(self, *, consistent: bool) -> tuple[int, T]:
        with refusals("the control table"):
            found = self._client.get_item(TableName=self._table, Key=self._key, ConsistentRead=consistent)
        item = found.get("Item")
        if item is None:
            return 0, self._empty
        value = self._empty
        with suppress(ValidationError):
            value = self._kind.validate_json(item["value"]["S"])
        return int(item["version"]["N"]), value

    def _write(self, seen: int, value: T) -> bool:
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if seen:
            condition = {
                "ConditionExpression": "version = :seen", "ExpressionAttributeValues": {":seen": {"N": str(seen)}}
            }  # fmt: skip
        item = {
            **self._key, "version": {"N": str(seen + 1)}, "value": {"S": self._kind.dump_json(value).decode()}
        }  # fmt: skip
        with refusals("the control table"):
            try:
                self._client.put_item(TableName=self._table, Item=item, **condition)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                return False
        return True

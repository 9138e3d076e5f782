"""The control table as the template makes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.checks import templates


@contextmanager
def control_table(dynamodb: Any, name: str) -> Iterator[str]:
    """A table of this name with the keys and indexes of the template's ControlTable."""
    made = templates.resources(templates.load(), "AWS::DynamoDB::Table")["ControlTable"]
    parts = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    dynamodb.create_table(TableName=name, **{part: made[part] for part in parts})
    yield name
    dynamodb.delete_table(TableName=name)

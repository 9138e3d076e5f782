"""Empty AWS accounts, and the few resources that contract tests need in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from moto import mock_aws

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
KINDS = ("moto", "ministack")


@contextmanager
def account(kind: str, endpoint: Callable[[], str]) -> Iterator[None]:
    """Every client made within talks to moto in this process, or to ministack at `endpoint()`."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        if kind == "moto":
            with mock_aws():
                yield
        else:
            patch.setenv("AWS_ENDPOINT_URL", endpoint())
            yield


@contextmanager
def id_table() -> Iterator[Any]:
    """A client, and the table `ids` with the key of the template's tables."""
    client = boto3.client("dynamodb")
    client.create_table(
        TableName="ids",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    yield client
    client.delete_table(TableName="ids")


@contextmanager
def data_bucket() -> Iterator[Any]:
    """A client, and the bucket `data`."""
    client = boto3.client("s3")
    client.create_bucket(Bucket="data")
    yield client
    for held in client.list_objects_v2(Bucket="data").get("Contents", ()):
        client.delete_object(Bucket="data", Key=held["Key"])
    client.delete_bucket(Bucket="data")

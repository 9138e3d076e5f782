"""`repair` makes what is gone anew, under its old name and as the template has it, and leaves alone what is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.session import Session

from hybrid_sync_cli.deployment.location import Location
from hybrid_sync_cli.deployment.repair import PARTS, Repair, restored
from tests.checks import templates
from tests.contract import accounts

QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012"
OUTPUTS = {
    "IdMapTable": "hybrid-sync-IdMapTable-1", "ControlTable": "hybrid-sync-ControlTable-1",
    "DataBucket": "hybrid-sync-databucket-1", "FailedQueueUrl": f"{QUEUE}/hybrid-sync-FailedRecordsQueue-1",
    "DeadLetterQueueUrl": f"{QUEUE}/hybrid-sync-FailedRecordsDeadLetters-1",
}  # fmt: skip
STACK = {
    "StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/hybrid-sync/1",
    "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in OUTPUTS.items()],
    "Parameters": [
        {"ParameterKey": "RetryDelaySeconds", "ParameterValue": "30"},
        {"ParameterKey": "AuditLock", "ParameterValue": "none"},
    ],
}


@pytest.fixture
def repair() -> Iterator[Repair]:
    """A stack of which nothing is left."""
    with accounts.account("moto", str):
        location = Location("hybrid-sync", "eu-central-1", "")
        location.__dict__["session"] = Session()
        yield Repair(location, STACK)


def test_each_part_is_made_once_and_as_the_template_has_it(repair: Repair) -> None:
    assert [made for _, made in restored(repair)] == [True] * len(PARTS)
    assert [made for _, made in restored(repair)] == [False] * len(PARTS)
    template = templates.load()
    dynamodb, sqs = boto3.client("dynamodb", "eu-central-1"), boto3.client("sqs", "eu-central-1")
    for name, made in templates.resources(template, "AWS::DynamoDB::Table").items():
        table = dynamodb.describe_table(TableName=OUTPUTS[name])["Table"]
        assert table["KeySchema"] == made["KeySchema"]
        assert [i["IndexName"] for i in table.get("GlobalSecondaryIndexes", [])] == [
            index["IndexName"] for index in made.get("GlobalSecondaryIndexes", [])
        ]
        lives = dynamodb.describe_time_to_live(TableName=OUTPUTS[name])["TimeToLiveDescription"]
        assert lives["AttributeName"] == made["TimeToLiveSpecification"]["AttributeName"]
        backups = dynamodb.describe_continuous_backups(TableName=OUTPUTS[name])["ContinuousBackupsDescription"]
        assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    queue = sqs.get_queue_attributes(QueueUrl=OUTPUTS["FailedQueueUrl"], AttributeNames=["All"])["Attributes"]
    assert (queue["DelaySeconds"], queue["VisibilityTimeout"]) == ("30", "720")
    assert json.loads(queue["RedrivePolicy"]) == {
        "deadLetterTargetArn": "arn:aws:sqs:eu-central-1:123456789012:hybrid-sync-FailedRecordsDeadLetters-1",
        "maxReceiveCount": 3,
    }
    letters = sqs.get_queue_attributes(QueueUrl=OUTPUTS["DeadLetterQueueUrl"], AttributeNames=["All"])["Attributes"]
    [statement] = json.loads(letters["Policy"])["Statement"]
    assert statement["Resource"].endswith(":hybrid-sync-FailedRecordsDeadLetters-1")
    bucket(template)


def bucket(template: Any) -> None:
    """Closed to the public, encrypted, versioned, with the template's rules and its policy."""
    s3, name = boto3.client("s3", "eu-central-1"), OUTPUTS["DataBucket"]
    made = templates.resources(template, "AWS::S3::Bucket")["DataBucket"]
    access = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert access == made["PublicAccessBlockConfiguration"]
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    [rule] = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    rules = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert [one["ID"] for one in rules] == [one["Id"] for one in made["LifecycleConfiguration"]["Rules"]]
    assert rules[0]["Expiration"] == {"Days": 30}
    [statement] = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
    assert statement["Resource"] == [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]


def test_only_what_is_gone_is_made(repair: Repair) -> None:
    list(restored(repair))
    boto3.client("dynamodb", "eu-central-1").delete_table(TableName=OUTPUTS["IdMapTable"])
    assert [part.name for part, made in restored(repair) if made] == ["IdMapTable"]

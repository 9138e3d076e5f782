"""Tables, queues and the bucket of a deployment, made anew where somebody has deleted them: by the names that they had.

CloudFormation takes what it has made for there until it is told otherwise, and a deployment that changes nothing makes
nothing.  Under its old name and with the template's properties a part is the stack's again, and every function, role
and policy that names it goes on.  What was in it is not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from hybrid_sync_cli.deployment.location import Location
from hybrid_sync_cli.deployment.template import filled, read, usual
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import home

_GONE = {
    "ResourceNotFoundException", "404", "NoSuchBucket", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist",
}  # fmt: skip
_TOO_EARLY = {"AWS.SimpleQueueService.QueueDeletedRecently", "QueueDeletedRecently", "OperationAborted"}


@dataclass(frozen=True)
class Part:
    """One part by its logical name, its output (a queue's is its URL), and what a person has to do once it is back."""

    name: str
    output: str
    title: str
    then: str


PARTS = (
    Part("IdMapTable", "IdMapTable", "the id map's table",
         "Runs fill it gradually; to fill it at once: hybrid-sync idmap rebuild."),
    Part("ControlTable", "ControlTable", "the control table",
         "Waiting jobs and service tokens are lost (hybrid-sync tokens create); let what runs end first."),
    Part("DataBucket", "DataBucket", "the data bucket",
         "Earlier reports are in the target: hybrid-sync report RUN. Start again what failed meanwhile."),
    Part("FailedRecordsDeadLetters", "DeadLetterQueueUrl", "the queue of records that were given up", ""),
    Part("FailedRecordsQueue", "FailedQueueUrl", "the queue of failed records",
         "Its messages are gone, the records are not: hybrid-sync failures redrive --all."),
)  # fmt: skip

_OURS = {part.name for part in PARTS}


class Repair:
    """Of one stack."""

    def __init__(self, location: Location, stack: dict[str, Any]) -> None:
        self._location = location
        self._outputs = {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
        template = read(home.project_root() / "template.yaml")
        given = {p["ParameterKey"]: p["ParameterValue"] for p in stack.get("Parameters", [])}
        self._parameters = {**usual(template), **given}
        self._account = stack["StackId"].split(":")[4]
        self._template = template["Resources"]

    def restore(self, part: Part) -> bool:
        """Make it anew where it is gone; whether it was."""
        kind = self._template[part.name]["Type"]
        there, make = {
            "AWS::DynamoDB::Table": (self._table_is_there, self._make_table),
            "AWS::SQS::Queue": (self._queue_is_there, self._make_queue),
            "AWS::S3::Bucket": (self._bucket_is_there, self._make_bucket),
        }[kind]
        name = self._name(part.name)
        if there(name):
            return False
        properties = filled(self._template[part.name]["Properties"], self._refer, self._conditions())
        try:
            make(name, properties)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _TOO_EARLY:
                raise CliError(
                    f"{part.title} was deleted a moment ago: repeat hybrid-sync repair in a minute."
                ) from None
            raise CliError(
                f"AWS did not make {part.title} ({code}): policies/deployer.json has the rights that it needs."
            ) from None
        return True

    # --- names ----------------------------------------------------------------------------------------------------

    def _name(self, logical: str) -> str:
        output = next(part.output for part in PARTS if part.name == logical)
        return str(self._outputs[output]).rpartition("/")[2]

    def _refer(self, name: str) -> str:
        resource, dot, _ = name.partition(".")
        if not dot:
            return self._parameters[name] if name in self._parameters else self._name(name)
        service = {"DataBucket": "s3"}.get(resource, "sqs")
        own = self._name(resource)
        return (
            f"arn:aws:s3:::{own}" if service == "s3" else f"arn:aws:sqs:{self._location.region}:{self._account}:{own}"
        )

    def _conditions(self) -> dict[str, bool]:
        return {"AuditLocked": self._parameters.get("AuditLock", "none") != "none"}

    def _client(self, service: str) -> Any:
        return self._location.session.create_client(
            service, region_name=self._location.region, endpoint_url=self._location.endpoint or None
        )

    # --- DynamoDB -------------------------------------------------------------------------------------------------

    def _table_is_there(self, name: str) -> bool:
        return _is_there(lambda: self._client("dynamodb").describe_table(TableName=name))

    def _make_table(self, name: str, properties: dict[str, Any]) -> None:
        client = self._client("dynamodb")
        parts = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
        client.create_table(
            TableName=name, SSESpecification={"Enabled": properties["SSESpecification"]["SSEEnabled"]},
            **{part: properties[part] for part in parts if part in properties},
        )  # fmt: skip
        client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 2, "MaxAttempts": 60})
        client.update_time_to_live(TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"])
        client.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification=properties["PointInTimeRecoverySpecification"]
        )

    # --- SQS ------------------------------------------------------------------------------------------------------

    def _queue_is_there(self, name: str) -> bool:
        return _is_there(lambda: self._client("sqs").get_queue_url(QueueName=name))

    def _make_queue(self, name: str, properties: dict[str, Any]) -> None:
        attributes = {key: _text(value) for key, value in properties.items()}
        policies = (r["Properties"] for r in self._template.values() if r["Type"] == "AWS::SQS::QueuePolicy")
        for policy in policies:
            if [self._name(queue["Ref"]) for queue in policy["Queues"] if queue["Ref"] in _OURS] == [name]:
                said = filled(policy["PolicyDocument"], self._refer, self._conditions())
                attributes["Policy"] = json.dumps(said)
        self._client("sqs").create_queue(QueueName=name, Attributes=attributes)

    # --- S3 -------------------------------------------------------------------------------------------------------

    def _bucket_is_there(self, name: str) -> bool:
        return _is_there(lambda: self._client("s3").head_bucket(Bucket=name))

    def _make_bucket(self, name: str, properties: dict[str, Any]) -> None:
        client, region = self._client("s3"), self._location.region
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        locked = {"ObjectLockEnabledForBucket": True} if properties.get("ObjectLockEnabled") else {}
        client.create_bucket(Bucket=name, **where, **locked)
        access = properties["PublicAccessBlockConfiguration"]
        client.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=access)
        client.put_bucket_ownership_controls(Bucket=name, OwnershipControls=properties["OwnershipControls"])
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration=properties["VersioningConfiguration"])
        rules = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        client.put_bucket_encryption(
            Bucket=name,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": r["ServerSideEncryptionByDefault"]} for r in rules]
            },
        )
        kept = [_rule(rule) for rule in properties["LifecycleConfiguration"]["Rules"]]
        client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": kept})
        policy = filled(self._template["DataBucketPolicy"]["Properties"], self._refer, self._conditions())
        client.put_bucket_policy(Bucket=name, Policy=json.dumps(policy["PolicyDocument"]))


def restored(repair: Repair) -> Iterator[tuple[Part, bool]]:
    """Each part, and whether it had to be made anew; the dead letters before the queue that sends there."""
    for part in PARTS:
        yield part, repair.restore(part)


def _is_there(ask: Callable[[], Any]) -> bool:
    try:
        ask()
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return False
        raise
    return True


def _text(value: Any) -> str:
    """An attribute of a queue."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, dict) else str(value)


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule of the bucket's lifecycle, in S3's words."""
    said: dict[str, Any] = {"ID": rule["Id"], "Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if "ExpirationInDays" in rule:
        said["Expiration"] = {"Days": int(rule["ExpirationInDays"])}
    if rule.get("ExpiredObjectDeleteMarker"):
        said["Expiration"] = {"ExpiredObjectDeleteMarker": True}
    for same in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if same in rule:
            said[same] = rule[same]
    return said

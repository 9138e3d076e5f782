"""The template deployed in this process: its resources in moto, its functions with their own environment.

Every call to AWS is recorded with the function that made it, so that calls and policies can be compared.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import io
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from urllib3 import HTTPResponse

from hybrid_sync import aws, wiring
from hybrid_sync.breaker.state import SIDES, Refusal, failed
from hybrid_sync.breaker.store import BreakerStore
from hybrid_sync.metering import METER
from hybrid_sync.schema import plans
from hybrid_sync.settings import Settings
from tests.checks import templates
from tests.unit.lambdas import FakeContext

REGION = "us-east-1"
ACCOUNT = "123456789012"
STACK = "hybrid-sync"
PSEUDO = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::StackName": STACK}
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{STACK}-sync-run"
TABLES = ("IdMapTable", "ControlTable")
QUEUES = ("FailedRecordsQueue", "FailedRecordsDeadLetters")


@dataclass(frozen=True)
class Call:
    """One request, as IAM sees it."""

    action: str
    resource: str


class Deployment:
    """Made inside `moto.mock_aws`."""

    def __init__(self, patch: pytest.MonkeyPatch, legacy_dsn: str, target_dsn: str) -> None:
        self.template = templates.load()
        self.functions = templates.functions(self.template)
        self.calls: dict[str, set[Call]] = defaultdict(set)
        self.counted: dict[str, Counter[str]] = defaultdict(Counter)
        """Function -> how often it has asked for each action."""
        self.items: dict[str, set[str]] = defaultdict(set)
        """Function -> the items of the control table that it has asked for."""
        self.legacy_dsn = legacy_dsn
        self.target_dsn = target_dsn
        self._patch = patch
        self._running = ""
        self.troubled = False
        """Before each call a connection to either database has failed, so that one that succeeds is news; and AWS slows
        down each request."""
        plans._recent.clear()  # its workers are new, and the databases of another module had the same names
        plans._ahead.clear()
        aws.session.cache_clear()
        aws.session().register("before-parameter-build.*.*", self._record)
        aws.session().register("before-send.lambda.GetAccountSettings", _account)
        self.refs, self.arns = self._resources(legacy_dsn, target_dsn)

    def client(self, service: str) -> Any:
        """A client for the test itself; its calls are not recorded."""
        return boto3.client(service)

    def invoke(self, name: str, event: Any) -> Any:
        """Call the handler with the environment that the template gives it, and nothing else of ours."""
        function = self.functions[name]
        for field in Settings.model_fields.values():
            self._patch.delenv(str(field.alias), raising=False)
        for variable, value in templates.environment(self.template, function).items():
            self._patch.setenv(variable, str(self.resolve(value)))
        wiring.world.cache_clear()
        path = Path(function["CodeUri"], "app.py")
        spec = importlib.util.spec_from_file_location(f"deployed_{name}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self._patch.setenv("AWS_LAMBDA_FUNCTION_NAME", str(self.resolve(function["FunctionName"])))
        if self.troubled:
            self._trouble()
        self._running = name
        try:
            result = module.handler(event, FakeContext(function_name=str(self.resolve(function["FunctionName"]))))
        finally:
            self._running = ""
        return json.loads(json.dumps(result))

    def _trouble(self) -> None:
        store = BreakerStore("ControlTable", self.client("dynamodb"))
        why = Refusal("legacy_unavailable", "It does not let us in.", needs_person=False)
        for side in SIDES:
            store.change(side, lambda breaker: replace(breaker, failed_at=()))
            store.change(side, lambda breaker: failed(breaker, why, datetime.now(UTC)))

    def resolve(self, value: Any) -> Any:
        """An intrinsic function's value in this deployment."""
        if not isinstance(value, dict):
            return value
        [(kind, argument)] = value.items()
        if kind == "Ref":
            return self.refs[argument]
        if kind == "Fn::GetAtt":
            return self.arns[str(argument).removesuffix(".Arn")]
        if kind == "Fn::Sub" and isinstance(argument, list):
            text, values = argument
            return re.sub(r"\$\{([^}]+)\}", lambda found: str(self.resolve(values[found[1]])), text)
        if kind == "Fn::Sub":
            return re.sub(r"\$\{([^}]+)\}", lambda found: self._named(found[1]), argument)
        if kind == "Fn::If":
            return self.resolve(argument[2])  # what concerns functions is off by the parameters' defaults
        if kind == "Fn::FindInMap":
            mapping, *keys = argument
            first, second = map(self.resolve, keys)
            return self.template["Mappings"][mapping][first][second]
        raise NotImplementedError(kind)

    def allowed(self, name: str) -> list[tuple[str, str]]:
        """(action, resource pattern) of everything that the function's policies allow."""
        return [
            (action, str(self.resolve(resource)))
            for statement in templates.statements(self.functions[name])
            for action in templates.listed(statement["Action"])
            for resource in templates.listed(statement["Resource"])
        ]

    def forbidden(self, name: str) -> set[str]:
        """The items of the control table that it has asked for, and may not touch."""
        patterns = {
            pattern
            for statement in templates.statements(self.functions[name])
            for condition in statement.get("Condition", {}).values()
            for pattern in templates.listed(condition.get("dynamodb:LeadingKeys", []))
        }
        return {
            item
            for item in self.items[name]
            if patterns and not any(fnmatch.fnmatchcase(item, pattern) for pattern in patterns)
        }

    def permits(self, name: str, call: Call) -> bool:
        return any(
            call.action == action and fnmatch.fnmatchcase(call.resource, pattern)
            for action, pattern in self.allowed(name)
        )

    def _named(self, name: str) -> str:
        return self.arns[name.removesuffix(".Arn")] if name.endswith(".Arn") else str(self.refs[name])

    def _resources(self, legacy_dsn: str, target_dsn: str) -> tuple[dict[str, Any], dict[str, str]]:
        refs: dict[str, Any] = {**PSEUDO}
        refs |= {name: parameter.get("Default") for name, parameter in self.template["Parameters"].items()}
        arns: dict[str, str] = {}
        for table in TABLES:
            properties = self.template["Resources"][table]["Properties"]
            parts = ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes")
            keys = {name: properties[name] for name in parts if name in properties}
            made = self.client("dynamodb").create_table(TableName=table, **keys)
            refs[table], arns[table] = table, made["TableDescription"]["TableArn"]
        for queue in QUEUES:
            refs[queue] = self.client("sqs").create_queue(QueueName=queue)["QueueUrl"]
            arns[queue] = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"
        refs["AuditLock"] = "GOVERNANCE"
        refs["MailFrom"], refs["AlertEmail"] = "sync@example.com", "ops@example.com"
        self.client("sesv2").create_email_identity(EmailIdentity=refs["MailFrom"])
        self.client("s3").create_bucket(Bucket="databucket", ObjectLockEnabledForBucket=True)
        refs["DataBucket"], arns["DataBucket"] = "databucket", "arn:aws:s3:::databucket"
        refs["AlertTopic"] = self.client("sns").create_topic(Name="alerts")["TopicArn"]
        secret = {"legacy_dsn": legacy_dsn, "target_dsn": target_dsn, "id_secret": "only for tests"}
        made = self.client("secretsmanager").create_secret(Name="connections", SecretString=json.dumps(secret))
        refs["ConnectionSecret"] = made["ARN"]
        refs["WebhookSecrets"] = self.client("secretsmanager").create_secret(Name="webhooks")["ARN"]
        refs["IdSecret"] = self.client("secretsmanager").create_secret(Name="ids")["ARN"]
        refs["SyncRun"] = self.client("stepfunctions").create_state_machine(
            name=f"{STACK}-sync-run", definition="{}", roleArn=f"arn:aws:iam::{ACCOUNT}:role/run"
        )["stateMachineArn"]
        assert refs["SyncRun"] == MACHINE
        for function in self.functions:
            name = str(self.functions[function]["FunctionName"]["Fn::Sub"]).replace("${AWS::StackName}", STACK)
            arns[f"{function}Logs"] = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/{name}:*"
            self.client("logs").create_log_group(logGroupName=f"/aws/lambda/{name}")
        # moto calls no function: what the operator's command needs of this one, another test has.
        refs["RollbackRun"] = arns["RollbackRun"] = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{STACK}-rollback-run"
        return refs, arns

    def _record(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if self._running:
            made = _calls(model.service_model.service_id, model.name, params)
            self.calls[self._running] |= set(made)
            self.counted[self._running].update(call.action for call in made)
            if params.get("TableName") == "ControlTable" and "IndexName" not in params:
                key = params.get("Key") or params.get("Item") or {"pk": {"S": "*"}}
                self.items[self._running].add(key["pk"]["S"])
            if self.troubled:
                METER._slowed["somebody:Something"] += 1


def _account(request: Any, **_: Any) -> AWSResponse:
    """What moto does not answer."""
    settings = {"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}}
    body = HTTPResponse(io.BytesIO(json.dumps(settings).encode()), preload_content=False)
    return AWSResponse(request.url, 200, {}, body)


def _calls(service: str, operation: str, params: dict[str, Any]) -> list[Call]:
    """The actions and resources that IAM checks for one request (Service Authorization Reference)."""
    if service == "DynamoDB":
        tables = list(params.get("RequestItems", ())) or [params["TableName"]]
        index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
        return [Call(f"dynamodb:{operation}", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{t}{index}") for t in tables]
    if operation in ("ListObjectsV2", "HeadBucket"):
        return [Call("s3:ListBucket", f"arn:aws:s3:::{params['Bucket']}")]
    if operation in ("GetAccountSettings", "GetMetricStatistics"):
        return [Call(f"{service.lower()}:{operation}", "*")]
    if service == "Lambda":
        return [Call("lambda:InvokeFunction", params["FunctionName"])]
    if service == "S3":
        held = [Call("s3:PutObjectRetention", f"arn:aws:s3:::{params['Bucket']}/{params['Key']}")]
        return (held if "ObjectLockMode" in params else []) + [
            Call(f"s3:{operation}", f"arn:aws:s3:::{params['Bucket']}/{params['Key']}")
        ]
    if service == "SQS":
        queue = params["QueueUrl"].rsplit("/", 1)[1]
        return [Call(f"sqs:{operation.removesuffix('Batch')}", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}")]
    if service == "SESv2":
        return [Call(f"ses:{operation}", f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/{params['FromEmailAddress']}")]
    if service == "SNS":
        return [Call(f"sns:{operation}", params["TopicArn"])]
    if service == "Secrets Manager":
        return [Call(f"secretsmanager:{operation}", params["SecretId"])]
    if service == "CloudWatch Logs":
        return [Call(f"logs:{operation}", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{params['logGroupName']}:*")]
    if service == "SFN":
        return [Call(f"states:{operation}", params.get("stateMachineArn") or params["executionArn"])]
    raise NotImplementedError(f"{service}.{operation}: say which action and resource IAM checks for it")

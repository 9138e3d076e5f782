"""What services do in our name: each of their roles may do what the template makes them do, and nothing else.

The emulator judges no role of a service, so a missing permission would first be felt on AWS.
"""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from tests.checks import asl, templates

Right = tuple[str, str]
"""An action, and the resource as text."""
MACHINE = "SyncRun"
# Delivery of logs and traces takes no resource (Step Functions guide, "Logging using CloudWatch Logs" and "X-Ray").
DELIVERY = re.compile(r"logs:|xray:")


# SAM's own translator lives in SAM's environment; managed policies of functions do not matter here.
_TRANSLATE = """
import json, sys
from samtranslator.translator.transform import transform
class Policies:
    def load(self):
        return {}
json.dump(transform(json.load(sys.stdin), {}, Policies())["Resources"], sys.stdout)
"""


@cache
def resources() -> dict[str, Any]:
    """The template as CloudFormation gets it: what SAM adds is there, roles too."""
    source = templates.load()
    source["Resources"] = {name: _local(resource) for name, resource in source["Resources"].items()}
    done = subprocess.run(
        [".venv-sam/bin/python", "-c", _TRANSLATE],
        input=json.dumps(source), capture_output=True, text=True, check=True,
        env={"AWS_DEFAULT_REGION": "us-east-1"},
    )  # fmt: skip
    return dict(json.loads(done.stdout))


def _local(resource: dict[str, Any]) -> dict[str, Any]:
    """What `sam build` would put in place of a path."""
    properties = resource.get("Properties", {})
    for name in ("CodeUri", "ContentUri", "DefinitionUri"):
        if name in properties:
            properties[name] = "s3://bucket/key"
    return resource


def rights(role: str) -> set[Right]:
    """Everything that a role allows; managed policies are not for services."""
    properties = resources()[role]["Properties"]
    statements = [s for policy in properties.get("Policies", ()) for s in policy["PolicyDocument"]["Statement"]]
    return {
        (action, _text(resource))
        for statement in statements
        for action in templates.listed(statement["Action"])
        for resource in templates.listed(statement["Resource"])
    }


def _text(resource: Any) -> str:
    """`${Name.Arn}` for a function, `${SyncRun}` for the machine, however the reference is written."""
    if isinstance(resource, dict):
        [(kind, value)] = resource.items()
        if kind == "Fn::GetAtt":
            return "${" + ".".join(templates.listed(value)) + "}"
        return "${" + value + "}" if kind == "Ref" else str(templates.listed(value)[0])
    return str(resource)


def _role_of(reference: Any) -> str:
    return _text(reference).removeprefix("${").partition(".")[0]


def targets() -> list[tuple[str, str, str]]:
    """(rule or schedule, its role, what it starts): those of EventBridge and of its Scheduler that need a role."""
    found = []
    for name, resource in resources().items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Events::Rule":
            found += [(name, t["RoleArn"], t["Arn"]) for t in properties["Targets"] if "RoleArn" in t]
        if resource["Type"] == "AWS::Scheduler::Schedule":
            found.append((name, properties["Target"]["RoleArn"], properties["Target"]["Arn"]))
    return [(name, _role_of(role), _text(arn)) for name, role, arn in found]


def test_what_starts_on_a_schedule_or_an_event_may_be_started_and_nothing_else() -> None:
    rules = [r["Properties"] for r in resources().values() if r["Type"] == "AWS::Events::Rule"]
    assert {_text(target["Arn"]) for rule in rules for target in rule["Targets"]} == {
        "${AdmitRuns.Arn}",
        "${ReceiveWebhook.Arn}",
    }
    permitted = [r["Properties"] for r in resources().values() if r["Type"] == "AWS::Lambda::Permission"]
    assert sum(p["Principal"] == "events.amazonaws.com" for p in permitted) == len(rules)
    for name, role, target in targets():
        dead_letters = {right for right in rights(role) if right[0] == "sqs:SendMessage"}
        start = "states:StartExecution" if target == "${" + MACHINE + "}" else "lambda:InvokeFunction"
        assert rights(role) - dead_letters == {(start, target)}, name


def test_every_role_is_assumed_by_the_service_that_uses_it() -> None:
    services = {"AWS::Events::Rule": "events.amazonaws.com", "AWS::Scheduler::Schedule": "scheduler.amazonaws.com"}
    for name, role, _ in targets():
        trust = json.dumps(resources()[role]["Properties"]["AssumeRolePolicyDocument"])
        assert services[resources()[name]["Type"]] in trust, role


def test_the_machine_may_do_what_its_definition_does_and_nothing_else() -> None:
    properties = templates.resources(templates.load(), "AWS::Serverless::StateMachine")[MACHINE]
    definition = asl.load(Path("statemachine/sync_run.asl.yaml").read_text("utf-8"), {})
    names = {str(state["Parameters"]["FunctionName"])[2:-1] for _, state in asl.tasks(definition)}
    called = {_function(properties["DefinitionSubstitutions"][name]) for name in names}
    granted = {right for right in rights(_role_of(properties["Role"])) if not DELIVERY.match(right[0])}
    functions = {_function(resource) for action, resource in granted if action == "lambda:InvokeFunction"}
    assert functions == called
    others = {action for action, _ in granted if action != "lambda:InvokeFunction"}
    assert others == needed_by_maps(definition)


def _function(reference: Any) -> str:
    """The logical id of a function, of one of its versions, or of all of them."""
    found = re.search(r"\$\{(\w+)", reference if isinstance(reference, str) else _text(reference))
    assert found is not None, reference
    return found[1]


def needed_by_maps(definition: dict[str, Any]) -> set[str]:
    """What distributed maps need besides (Step Functions guide, "IAM policies for using Distributed Map")."""
    maps = [s for machine in asl.machines(definition) for s in machine.states.values() if s.get("Type") == "Map"]
    distributed = [s for s in maps if s["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"]
    read = {"s3:GetObject" for s in distributed if "ItemReader" in s}
    return read | (
        {"states:StartExecution", "states:DescribeExecution", "states:StopExecution"} if distributed else set()
    )


# What a name is unique among: an account's resources of one region, but for these, which are the account's of all.
GLOBAL = {"DashboardName", "BudgetName"}
NAMED = {
    "AWS::Scheduler::Schedule": "Name", "AWS::Events::Rule": "Name", "AWS::Lambda::Function": "FunctionName",
    "AWS::StepFunctions::StateMachine": "StateMachineName", "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::CloudWatch::Alarm": "AlarmName", "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SNS::Topic": "TopicName", "AWS::DynamoDB::Table": "TableName", "AWS::S3::Bucket": "BucketName",
    "AWS::SecretsManager::Secret": "Name", "AWS::IAM::Role": "RoleName", "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::Budgets::Budget": "BudgetName",
}  # fmt: skip


def test_two_deployments_of_an_account_have_no_name_in_common() -> None:
    for logical_id, resource in resources().items():
        properties = resource.get("Properties", {})
        name = properties.get("Budget", properties).get(NAMED.get(resource["Type"], ""))
        if name is not None:  # else CloudFormation makes one that is nobody else's
            assert "${AWS::StackName}" in _text(name) or name == {"Ref": "AWS::StackName"}, logical_id
            if NAMED[resource["Type"]] in GLOBAL:  # the same stack in another region is another deployment
                assert "${AWS::Region}" in _text(name), logical_id

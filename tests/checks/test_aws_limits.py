"""What the emulator accepts and AWS refuses: sizes, names and windows, each with AWS's own limit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checks import asl, templates

TEMPLATE = templates.load()
STACK = "a-stack-name-of-thirty-letters"
"""As long a stack's name as the others leave room for."""
TEXT = json.dumps(TEMPLATE)
NAMED = {
    # property: (what AWS calls it, characters)
    "FunctionName": ("Lambda, CreateFunction", 64),
    "DashboardName": ("CloudWatch, PutDashboard", 255),
    "LogGroupName": ("CloudWatch Logs, CreateLogGroup", 512),
    "Name": ("Step Functions, CreateStateMachine; API Gateway", 80),
}


def resources() -> list[tuple[str, str, dict[str, Any]]]:
    return [(name, r["Type"], r.get("Properties", {})) for name, r in TEMPLATE["Resources"].items()]


def long(value: Any) -> str:
    """A name with every part as long as it gets."""
    text = value.get("Fn::Sub", value.get("Ref", "")) if isinstance(value, dict) else str(value)
    return str(text).replace("${AWS::StackName}", STACK).replace("AWS::StackName", STACK)


@pytest.mark.parametrize("field", NAMED)
def test_a_name_fits_with_a_long_name_of_the_stack(field: str) -> None:
    _, most = NAMED[field]
    for name, _, properties in resources():
        if field in properties:
            assert len(long(properties[field])) <= most, name
            # A role's name is the stack's, the resource's and 13 letters of CloudFormation's, cut by nobody.
            assert len(name) <= 50, name


def test_an_alarm_looks_back_a_week_at_most() -> None:
    """PutMetricAlarm: Period times EvaluationPeriods is at most 604,800 seconds; a day's period is a day's multiple."""
    for name, alarm in templates.resources(TEMPLATE, "AWS::CloudWatch::Alarm").items():
        assert alarm["Period"] * alarm["EvaluationPeriods"] <= 604_800, name
        assert alarm["Period"] in (10, 20, 30) or alarm["Period"] % 60 == 0, name
        assert alarm.get("DatapointsToAlarm", 1) <= alarm["EvaluationPeriods"], name
        assert len(alarm["AlarmDescription"]) <= 1024, name


def test_descriptions_fit() -> None:
    for name, kind, properties in resources():
        # AutoPublishCodeSha256 puts the build behind a function's description: 64 letters and a space.
        most = {"AWS::Serverless::Function": 256 - 65, "AWS::Serverless::LayerVersion": 256}.get(kind, 1000)
        assert len(str(properties.get("Description", ""))) <= most, name
    assert len(TEMPLATE["Description"]) <= 1024
    assert all(len(p.get("Description", "")) <= 4000 for p in TEMPLATE["Parameters"].values())


def test_a_functions_environment_fits_into_four_kilobytes() -> None:
    for name, function in templates.functions(TEMPLATE).items():
        variables = templates.environment(TEMPLATE, function)
        assert sum(len(key) + _longest(value) for key, value in variables.items()) <= 4096, name


def _longest(value: object) -> int:
    """A value that is only known once it is deployed is one of those that its parameter allows, or an ARN or a URL."""
    if not isinstance(value, dict):
        return len(str(value))
    allowed = TEMPLATE["Parameters"].get(value.get("Ref"), {}).get("AllowedValues")
    return max(len(str(one)) for one in allowed) if allowed else 200


def test_inline_policies_fit_into_a_role_and_a_managed_one_into_its_own() -> None:
    """IAM: 10,240 characters of inline policies per role, 6,144 of a managed policy, without white space."""
    for name, function in templates.functions(TEMPLATE).items():
        assert len(json.dumps(templates.statements(function))) * 2 <= 10_240, name
    for name, role in templates.resources(TEMPLATE, "AWS::IAM::Role").items():
        assert len(json.dumps(role.get("Policies", []))) * 1.5 <= 10_240, name
    for name, policy in templates.resources(TEMPLATE, "AWS::IAM::ManagedPolicy").items():
        assert len(json.dumps(policy["PolicyDocument"])) <= 6_144, name


def test_the_state_machine_fits_into_a_megabyte_and_its_names_into_eighty_letters() -> None:
    text = asl.STATE_MACHINE.read_text("utf-8")
    assert len(json.dumps(yaml.safe_load(text))) <= 1_048_576

    def states(machine: dict[str, Any]) -> list[str]:
        found = list(machine["States"])
        for state in machine["States"].values():
            found += states(state["ItemProcessor"]) if "ItemProcessor" in state else []
        return found

    assert all(len(name) <= 80 for name in states(yaml.safe_load(text)))


def api_events(function: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, event) for name, event in function.get("Events", {}).items() if event["Type"] == "Api"]


def test_the_policy_that_lets_the_api_call_a_function_fits() -> None:
    """Lambda, AddPermission: 20,480 bytes for all statements of a function; SAM makes one of each API event."""
    for function, properties in templates.functions(TEMPLATE).items():
        size = 0
        for name, event in api_events(properties):
            path = f"{event['Properties']['Method']}{event['Properties']['Path']}"
            statement = {
                "Sid": f"{STACK}-{function}{name}PermissionLive-ABCDEFGHIJKLM",
                "Effect": "Allow",
                "Principal": {"Service": "apigateway.amazonaws.com"},
                "Action": "lambda:InvokeFunction",
                "Resource": f"arn:aws:lambda:ap-northeast-1:123456789012:function:{long(properties['FunctionName'])}",
                "Condition": {
                    "ArnLike": {"AWS:SourceArn": f"arn:aws:execute-api:ap-northeast-1:123456789012:abcdefghij/*/{path}"}
                },
            }
            size += len(json.dumps(statement, separators=(",", ":"))) + 1
        assert size <= 20_480, f"{function}: serve some of the paths by another function"


def test_an_operators_policy_fits() -> None:
    """IAM: 6,144 characters of a managed policy, without white space."""
    for file in Path("policies").glob("*.json"):
        text = file.read_text("utf-8").replace("REGION", "ap-northeast-1").replace("ACCOUNT", "123456789012")
        document = text.replace("API_ID", "abcdefghij").replace("STACK", STACK)
        assert len(json.dumps(json.loads(document), separators=(",", ":"))) <= 6_144, file


def test_the_template_fits() -> None:
    """CloudFormation: 200 parameters, 500 resources, 200 outputs, a megabyte from S3.

    SAM makes a role and a version of each function, and two of each event at most: a rule and a permission.
    """
    assert len(TEMPLATE["Parameters"]) <= 200
    events = sum(len(function.get("Events", {})) for function in templates.functions(TEMPLATE).values())
    assert len(TEMPLATE["Resources"]) + 2 * len(templates.functions(TEMPLATE)) + 2 * events <= 500
    assert len(TEMPLATE["Outputs"]) <= 200
    assert len(TEXT) * 4 <= 1_048_576


def test_times_are_such_as_aws_allows() -> None:
    for name, function in templates.functions(TEMPLATE).items():
        limit = function.get("Timeout", 0)
        chosen = TEMPLATE["Parameters"][limit["Ref"]]["AllowedValues"] if isinstance(limit, dict) else [limit]
        assert max(map(int, chosen)) <= 900, name
        assert 128 <= function.get("MemorySize", 256) <= 3008, f"{name}: new accounts have no more"
    for name, queue in templates.resources(TEMPLATE, "AWS::SQS::Queue").items():
        assert queue["MessageRetentionPeriod"] <= 1_209_600, name
        assert queue.get("VisibilityTimeout", 0) <= 43_200, name
    assert TEMPLATE["Parameters"]["RetryDelaySeconds"]["MaxValue"] <= 900, "DelaySeconds of a queue"
    api = templates.functions(TEMPLATE)["ServeApi"]
    assert api["Timeout"] < 29, "API Gateway gives up"

"""The table of commands, the template's routes, the policies and the pages say the same."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from hybrid_sync.contracts import Message
from hybrid_sync.http.scopes import OF_ROLE, SCOPES
from hybrid_sync.services.commands import COMMANDS, Role
from hybrid_sync.services.desk import Asked, Desk
from hybrid_sync.services.log_lines import AT_WORK, groups_beside
from tests.checks import templates

TEMPLATE = templates.load()
BY_IAM = {"Authorizer": "AWS_IAM", "InvokeRole": "NONE"}


def policy(role: Role) -> list[dict[str, Any]]:
    document = json.loads(Path("policies", f"{role.name}.json").read_text("utf-8"))
    return list(document["Statement"])


def test_each_command_has_one_route_that_iam_guards_and_no_other_route_is_there() -> None:
    events = [event["Properties"] for event in templates.functions(TEMPLATE)["ServeOps"]["Events"].values()]
    assert {(e["Method"], e["Path"]) for e in events} == {("POST", command.path) for command in COMMANDS.values()}
    # With the caller's own credentials API Gateway would ask for the right to invoke the function, too.
    assert all(event["Auth"] == BY_IAM for event in events)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_names_a_service_that_takes_its_form_and_answers_a_message(name: str) -> None:
    command = COMMANDS[name]
    hints = get_type_hints(command.serve)
    answer = hints.pop("return")
    assert list(hints.values()) == [Desk, command.asks, str]
    assert issubclass(command.asks, Asked) and issubclass(answer, Message)


@pytest.mark.parametrize("role", Role)
def test_a_policy_lists_the_single_paths_of_its_role(role: Role) -> None:
    find, ask = policy(role)
    stage = TEMPLATE["Resources"]["Api"]["Properties"]["StageName"]
    api = f"arn:aws:execute-api:REGION:ACCOUNT:API_ID/{stage}/POST"
    assert ask["Action"] == "execute-api:Invoke"
    assert ask["Resource"] == [api + command.path for command in COMMANDS.values() if command.role <= role]
    assert find["Action"] == "cloudformation:DescribeStacks"
    assert {statement["Effect"] for statement in (find, ask)} == {"Allow"}


def test_the_logs_that_may_be_read_are_those_of_the_functions_that_work_for_runs() -> None:
    functions = templates.functions(TEMPLATE)
    [statement] = [
        one for one in templates.statements(functions["ServeOps"]) if one["Action"] == "logs:FilterLogEvents"
    ]
    allowed = {str(resource["Fn::GetAtt"]).removesuffix("Logs.Arn") for resource in statement["Resource"]}
    names = {str(functions[name]["FunctionName"]["Fn::Sub"]).removeprefix("${AWS::StackName}-") for name in allowed}
    assert names == set(AT_WORK)
    machine = json.dumps(TEMPLATE["Resources"]["SyncRunRole"])
    assert set(re.findall(r"\$\{(\w+)\.Arn\}:\*", machine)) <= allowed
    assert groups_beside("my-stack-serve-ops")[0] == "/aws/lambda/my-stack-admit-runs"


def test_whoever_only_looks_changes_nothing() -> None:
    assert [c.name for c in COMMANDS.values() if c.changes and c.role is Role.viewer] == []


def test_the_page_on_security_says_who_may_do_what() -> None:
    page = Path("docs/security.md").read_text("utf-8")
    for role in Role:
        [line] = re.findall(rf"^\| `policies/{role.name}.json` \|(.*)\|$", page, re.MULTILINE)
        assert re.findall(r"`([a-z-]+)`", line) == [c.name for c in COMMANDS.values() if c.role is role]


def test_the_page_on_security_says_which_scopes_a_role_has() -> None:
    page = Path("docs/security.md").read_text("utf-8")
    for role in Role:
        [line] = re.findall(rf"^\| {role.name} \|(.*)\|$", page, re.MULTILINE)
        assert re.findall(r"`([a-z_:]+)`", line) == list(OF_ROLE[role])


def test_each_role_may_do_what_those_before_it_may() -> None:
    allowed = [set(OF_ROLE[role]) for role in sorted(Role)]
    assert all(less <= more for less, more in itertools.pairwise(allowed))
    assert allowed[-1] == set(SCOPES)

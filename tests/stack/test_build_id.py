"""Which build it is stands in what is deployed: each change publishes new versions, and nothing else does."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
import yaml

from hybrid_sync_cli.stack import Stack
from hybrid_sync_cli.stack.build_id import INPUTS, build_id, seal
from tests.checks import templates


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of everything that is deployed."""
    for name in INPUTS:
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if Path(name).is_dir():
            shutil.copytree(name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(name, target)
    return tmp_path


@pytest.mark.parametrize(
    "changed",
    [
        "template.yaml", "functions/plan_run/app.py", "layers/catalog/offices.yaml",
        "layers/engine/hybrid_sync/keys.py", "statemachine/sync_run.asl.yaml", "requirements/runtime.txt",
        "a parameter",
    ],
)  # fmt: skip
def test_whatever_changes_what_is_deployed_makes_another_build(project: Path, changed: str) -> None:
    before = build_id(project, "Attempts=3")
    assert build_id(project, "Attempts=3") == before
    if changed == "a parameter":
        assert build_id(project, "Attempts=4") != before
        return
    with (project / changed).open("a") as file:
        file.write("\n# another comment\n")
    assert build_id(project, "Attempts=3") != before


def test_a_sealed_template_names_its_build_and_has_no_parameter_for_it(tmp_path: Path) -> None:
    built = tmp_path / "template.yaml"
    built.write_text(yaml.safe_dump(templates.load()), "utf-8")
    seal(built, "0123abcd")
    sealed = yaml.safe_load(built.read_text("utf-8"))
    assert "BuildId" not in sealed["Parameters"]
    assert "BuiltByMake" not in sealed["Rules"]
    assert sealed["Globals"]["Function"]["Environment"]["Variables"]["BUILD_ID"] == "0123abcd"
    assert sealed["Resources"]["PlanRun"]["Properties"]["AutoPublishCodeSha256"] == "0123abcd"
    assert sealed["Resources"]["PlanRun"]["Properties"]["CodeUri"] == "functions/plan_run"


def test_a_template_that_is_not_sealed_is_refused_with_one_sentence(deployed: Stack) -> None:
    source = templates.load()
    plain = {
        "Parameters": {"BuildId": source["Parameters"]["BuildId"]},
        "Rules": source["Rules"],
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    }
    with pytest.raises(botocore.exceptions.ClientError, match="Deploy with `make deploy`, not with `sam deploy` alone"):
        deployed.client("cloudformation").create_change_set(
            StackName="plain", ChangeSetName="plain", ChangeSetType="CREATE", TemplateBody=json.dumps(plain)
        )


def test_the_state_machine_names_the_versions_of_this_build(deployed: Stack) -> None:
    machine = deployed.client("stepfunctions").describe_state_machine(
        stateMachineArn=deployed.outputs["StateMachineArn"]
    )
    named = set(re.findall(r"arn:aws:lambda:[^\"]+", machine["definition"]))
    published = {version["FunctionArn"]: version for name in named for version in _versions(deployed, name)}
    assert named <= set(published)
    assert all(re.search(r":\d+$", arn) for arn in named)
    builds = {published[arn]["Environment"]["Variables"]["BUILD_ID"] for arn in named}
    assert builds == {deployed.outputs["BuildId"]}


def _versions(stack: Stack, arn: str) -> list[dict[str, Any]]:
    name = arn.split(":function:")[1].split(":")[0]
    found: list[dict[str, Any]] = stack.client("lambda").list_versions_by_function(FunctionName=name)["Versions"]
    return found

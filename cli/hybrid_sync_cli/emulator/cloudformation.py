"""Where ministack's CloudFormation differs from AWS's in what this template uses."""

from __future__ import annotations

import json
from typing import Any

import yaml


def read_yaml_definitions(provisioners: Any) -> None:
    """Let a state machine be written in YAML, which AWS accepts and ministack does not."""
    original = provisioners._sfn_definition

    def definition(properties: dict[str, Any]) -> Any:
        text = original(properties)
        try:
            json.loads(text)
        except ValueError:
            return json.dumps(yaml.safe_load(text))
        return text

    provisioners._sfn_definition = definition


def refer_to_secrets_by_arn(provisioners: Any) -> None:
    """A reference to a secret is its ARN (AWS::SecretsManager::Secret, "Return values"); policies live on that."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::Secret"]
    create, update, delete = handlers["create"], handlers["update"], handlers["delete"]

    def created(*asked: Any) -> Any:
        return _by_arn(create(*asked))

    def updated(physical_id: str, *asked: Any, **more: Any) -> Any:
        return _by_arn(update(_name(physical_id), *asked, **more))

    def deleted(physical_id: str, *asked: Any) -> Any:
        return delete(_name(physical_id), *asked)

    handlers |= {"create": created, "update": updated, "delete": deleted}


def take_budgets(provisioners: Any) -> None:
    """A budget watches the bill, and nothing here sends one: it is taken under its own name, and watches nothing."""

    def named(_: str, properties: dict[str, Any], *rest: Any) -> tuple[str, dict[str, str]]:
        return str(properties["Budget"]["BudgetName"]), {}

    def kept(physical_id: str, *rest: Any, **more: Any) -> tuple[str, dict[str, str]]:
        return physical_id, {}

    provisioners._RESOURCE_HANDLERS["AWS::Budgets::Budget"] = {
        "create": named, "update": kept, "delete": lambda *rest: None,
    }  # fmt: skip


def _by_arn(made: tuple[str, dict[str, str]]) -> tuple[str, dict[str, str]]:
    _, attributes = made
    return attributes["Arn"], attributes


def _name(arn: str) -> str:
    """The secret's name: its ARN ends in the name and six characters of AWS's own."""
    return arn.rpartition(":secret:")[2].rpartition("-")[0]

"""The template as plain data: intrinsic functions become {"Ref": …} and {"Fn::…": …}."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path("template.yaml")
Resource = dict[str, Any]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """SafeLoader, and CloudFormation's short forms."""


def _intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _intrinsic)


def load(path: Path = TEMPLATE) -> dict[str, Any]:
    content: dict[str, Any] = yaml.load(path.read_text("utf-8"), Loader=_Loader)
    return content


def resources(template: dict[str, Any], kind: str) -> dict[str, Resource]:
    """Logical id -> properties."""
    found = {name: r.get("Properties", {}) for name, r in template["Resources"].items() if r["Type"] == kind}
    assert found, kind
    return found


def functions(template: dict[str, Any]) -> dict[str, Resource]:
    return resources(template, "AWS::Serverless::Function")


def environment(template: dict[str, Any], function: Resource) -> dict[str, Any]:
    """What a function finds in its environment, the global part included."""
    shared = template["Globals"]["Function"]["Environment"]["Variables"]
    own = function.get("Environment", {}).get("Variables", {})
    return {**shared, **own}


def layers(template: dict[str, Any], function: Resource) -> list[str]:
    """The logical ids of a function's layers: those of all functions, then its own."""
    shared = template["Globals"]["Function"]["Layers"]
    return [str(layer["Ref"]) for layer in [*shared, *function.get("Layers", ())]]


def statements(function: Resource) -> list[dict[str, Any]]:
    """The statements of a function's own policies."""
    found = []
    for policy in function["Policies"]:
        assert isinstance(policy, dict), "name the actions, not a managed policy"
        assert set(policy) == {"Statement"}, "name the actions, not a policy template"
        found += policy["Statement"]
    return found


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

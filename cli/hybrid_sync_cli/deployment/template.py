"""Resources of the checkout's template with their parameters put in, as far as tables, queues and the bucket go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

Refer = Callable[[str], str]
"""The value of a parameter, or the name of a resource; of `Resource.Arn` its ARN."""


class _Tagged(yaml.SafeLoader):
    """Reads CloudFormation's tags as one key each: !Ref X is {"Ref": "X"}."""


def _tag(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {suffix: loader.construct_mapping(node, deep=True)}


_Tagged.add_multi_constructor("!", _tag)


def read(template: Path) -> dict[str, Any]:
    """The template's sections by name."""
    # A SafeLoader at heart: it makes plain values only.
    return dict(yaml.load(template.read_text("utf-8"), Loader=_Tagged))  # nosec B506


def usual(content: dict[str, Any]) -> dict[str, str]:
    """Parameters that have a usual value: what a stack that is older than one of them will get."""
    named = content["Parameters"].items()
    return {name: str(parameter["Default"]) for name, parameter in named if "Default" in parameter}


def filled(value: Any, refer: Refer, holds: Mapping[str, bool]) -> Any:
    """The value with what it refers to; `holds` says which conditions do.  What nobody sets is left out."""
    if isinstance(value, list):
        return [one for one in (filled(item, refer, holds) for item in value) if one is not None]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": "AWS::NoValue"}:
            return None
        case {"Ref": str(name)}:
            return refer(name)
        case {"GetAtt": str(name)}:
            return refer(name)
        case {"Sub": str(text)} if text.startswith("${") and "}" in text:
            name, _, rest = text.removeprefix("${").partition("}")
            return refer(name) + rest
        case {"If": [str(condition), yes, no]}:
            return filled(yes if holds[condition] else no, refer, holds)
    found = {name: filled(inner, refer, holds) for name, inner in value.items()}
    return {name: inner for name, inner in found.items() if inner is not None}

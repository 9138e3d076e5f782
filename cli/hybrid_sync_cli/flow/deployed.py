"""The state machine file as the template deploys it: the only flow that there is, here, on AWS and in the tests."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import yaml

from hybrid_sync_cli.deployment import template
from hybrid_sync_cli.flow.definition import parse
from hybrid_sync_cli.flow.states import Flow
from hybrid_sync_cli.stack import home

STATE_MACHINE = Path("statemachine/sync_run.asl.yaml")
PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
# A SafeLoader, in C where there is one.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@functools.cache
def flow(**numbers: int) -> Flow:
    """The file with the template's defaults, but for these `numbers` of its substitutions; parsed once per process."""
    return parsed(definition(), **numbers)


def definition() -> str:
    return (home.project_root() / STATE_MACHINE).read_text("utf-8")


def load(text: str, substitutions: dict[str, str]) -> dict[str, Any]:
    """The definition as deployed: placeholders are replaced in the text, as CloudFormation does."""
    replaced = PLACEHOLDER.sub(lambda found: substitutions.get(found[1], found[0]), text)
    # A SafeLoader at heart: it makes plain values only.
    loaded: dict[str, Any] = yaml.load(replaced, Loader=LOADER)  # nosec B506
    return loaded


def parsed(text: str, **numbers: int) -> Flow:
    """A definition with functions by the name of their folder; Unknown unless every part of it is known."""
    known = substitutions()
    assert set(numbers) <= set(known), numbers
    return parse(load(text, known | {name: str(number) for name, number in numbers.items()}))


@functools.cache
def substitutions() -> dict[str, str]:
    """What the template puts into the file's placeholders."""
    content = template.read(home.project_root() / "template.yaml")
    machine = content["Resources"]["SyncRun"]["Properties"]
    return {name: _value(content, value) for name, value in machine["DefinitionSubstitutions"].items()}


def _value(content: dict[str, Any], value: Any) -> str:
    match value:
        case str():
            return value
        case {"Ref": "AWS::Partition"}:
            return "aws"
        case {"Ref": str(name)} if name.endswith(".Version"):
            return Path(content["Resources"][name.removesuffix(".Version")]["Properties"]["CodeUri"]).name
        case {"Ref": str(name)}:
            return str(content["Parameters"][name]["Default"])
        case {"FindInMap": [name, *keys]}:
            first, second = (_value(content, key) for key in keys)
            return str(content["Mappings"][name][first][second])
    raise AssertionError(f"{value!r} is no substitution that is known here.")

"""The state machine file as the template deploys it: the only flow that the tests and the benchmarks have."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from hybrid_sync_cli.stack import home
from tests.checks import asl, templates
from tests.flow.definition import parse
from tests.flow.states import Flow


@functools.cache
def flow(**numbers: int) -> Flow:
    """The file with the template's defaults, but for these `numbers` of its substitutions; parsed once per process."""
    return parsed(definition(), **numbers)


def definition() -> str:
    return (home.project_root() / asl.STATE_MACHINE).read_text("utf-8")


def parsed(text: str, **numbers: int) -> Flow:
    """A definition with functions by the name of their folder; Unknown unless every part of it is known."""
    known = substitutions()
    assert set(numbers) <= set(known), numbers
    return parse(asl.load(text, known | {name: str(number) for name, number in numbers.items()}))


@functools.cache
def substitutions() -> dict[str, str]:
    """What the template puts into the file's placeholders."""
    template = templates.load(home.project_root() / templates.TEMPLATE)
    machine = templates.resources(template, "AWS::Serverless::StateMachine")["SyncRun"]
    return {name: _value(template, value) for name, value in machine["DefinitionSubstitutions"].items()}


def _value(template: dict[str, Any], value: Any) -> str:
    if isinstance(value, str):
        return value
    [(kind, argument)] = value.items()
    if kind == "Ref" and argument.endswith(".Version"):
        folder = templates.functions(template)[argument.removesuffix(".Version")]["CodeUri"]
        return Path(folder).name
    if kind == "Fn::FindInMap":
        name, *keys = argument
        first, second = (_value(template, key) if isinstance(key, dict) else key for key in keys)
        return str(template["Mappings"][name][first][second])
    assert kind == "Ref"
    return "aws" if argument == "AWS::Partition" else str(template["Parameters"][argument]["Default"])

"""Which build it is: one hash of everything that is deployed, so that each change publishes new versions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

PARAMETER = "BuildId"

# Whatever changes what is deployed.
INPUTS = ("template.yaml", "functions", "layers", "statemachine", "requirements/runtime.txt")


def build_id(project: Path, *chosen: str) -> str:
    """Of the template, functions, both layers, the state machine, the locked packages, and of the values `chosen`."""
    seal = hashlib.sha256("\0".join(chosen).encode())
    for path in _files(project):
        seal.update(str(path.relative_to(project)).encode() + b"\0")
        seal.update(hashlib.sha256(path.read_bytes()).digest())
    return seal.hexdigest()


def _files(project: Path) -> Iterator[Path]:
    for name in INPUTS:
        start = project / name
        paths = [start] if start.is_file() else sorted(start.rglob("*"))
        yield from (path for path in paths if path.is_file() and not _is_made(path))


def _is_made(path: Path) -> bool:
    """Compiled from what is hashed anyway."""
    return "__pycache__" in path.parts or path.suffix == ".so"


def seal(built: Path, build: str, parameters: Mapping[str, str] | None = None) -> None:
    """Write the build's id, and whatever else is `told`, into a template that `sam build` has made, for its parameters.

    A parameter keeps the value of last time wherever a deployment does not name it, and SAM would then publish nothing.
    """
    template = yaml.safe_load(built.read_text("utf-8"))
    values = {PARAMETER: build, **(parameters or {})}
    for name in values:
        del template["Parameters"][name]
    del template["Rules"]["BuiltByMake"]
    if not template["Rules"]:  # which must not be empty
        del template["Rules"]
    built.write_text(yaml.safe_dump(_sealed(template, values), sort_keys=False), "utf-8")


def _sealed(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        if set(value) == {"Ref"} and value["Ref"] in values:
            return values[value["Ref"]]
        return {name: _sealed(inner, values) for name, inner in value.items()}
    return [_sealed(inner, values) for inner in value] if isinstance(value, list) else value

"""A second opinion on the state machine: npm's asl-validator, which finds what cfn-lint overlooks in a YAML file."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.checks.test_state_machine import MUTANTS, definition
from tests.servers import npm

LISTS = Path(__file__).with_name("asl_validator")
# Of our own checker's mutants, those that break the language itself and not a rule of ours.
BROKEN = (
    "StartAt names nothing",
    "Next names nothing",
    "a Catch names nothing",
    "an unknown type",
    "neither Next nor End",
)


def verdicts(folder: Path, definitions: dict[str, dict[str, Any]]) -> dict[str, bool]:
    """Which of them it takes for valid."""
    program = npm.installed(LISTS, "asl-validator") / ".bin" / "asl-validator"
    asked: list[str] = []
    for name, given in definitions.items():
        (folder / f"{name}.json").write_text(json.dumps(given), "utf-8")
        asked += ["--json-path", f"{name}.json"]
    said = subprocess.run([program, *asked], cwd=folder, capture_output=True, text=True, check=False)
    lines = (said.stdout + said.stderr).splitlines()
    valid = {name: any(f'"{name}.json" is valid' in line for line in lines) for name in definitions}
    assert said.returncode == (0 if all(valid.values()) else 1), said.stderr
    return valid


def test_it_takes_the_state_machine_and_refuses_broken_ones(tmp_path: Path) -> None:
    assert shutil.which("node"), "npm has brought no node"
    given = {"ours": definition()}
    for name in BROKEN:
        MUTANTS[name](given.setdefault(name, copy.deepcopy(given["ours"])))
    assert verdicts(tmp_path, given) == {"ours": True} | dict.fromkeys(BROKEN, False)

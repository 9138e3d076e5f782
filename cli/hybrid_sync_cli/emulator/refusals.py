"""What the emulator has refused, one JSON object a line: names, sizes and counts, never a payload.

A test that asks for a refusal says so beforehand with `expect`; whatever else was refused is a mistake.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FILE = "HYBRID_SYNC_REFUSALS"
PAYLOAD, DENIED, LATE, AUTHORIZER = "payload", "denied", "late", "authorizer"
Refusal = dict[str, Any]


def record(kind: str, **facts: Any) -> None:
    """Note a refusal in the file that the environment names; short lines are appended whole."""
    if path := os.environ.get(FILE):
        _append(Path(path), {"kind": kind, **facts})


def expect(path: Path, kind: str, **facts: Any) -> None:
    """Every refusal with these facts, before and after, is wanted."""
    _append(path, {"expected": {"kind": kind, **facts}})


def unexpected(path: Path) -> list[Refusal]:
    """The refusals that nobody has asked for, in their order."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    wanted = [line["expected"] for line in lines if "expected" in line]
    return [line for line in lines if "kind" in line and not any(line == line | facts for facts in wanted)]


def _append(path: Path, line: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")

"""A function that acts out a scenario and writes down what it was asked; deployed as a file of its own.

SCENARIO and CALLS in its environment name the two files.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class TransientError(Exception):
    pass


class PermanentError(Exception):
    pass


def end() -> None:
    """The worker's process is gone."""
    os._exit(3)


def handler(event: dict[str, Any], context: Any) -> Any:
    """The scenario's answer to this call, or the failure that it has for it."""
    scenario = json.loads(Path(os.environ["SCENARIO"]).read_text("utf-8"))
    mine = json.dumps([context.function_name, event])
    with Path(os.environ["CALLS"]).open("a", encoding="utf-8") as calls:
        calls.write(mine + "\n")
    asked = Path(os.environ["CALLS"]).read_text("utf-8").splitlines().count(mine)
    part = scenario.get(context.function_name, {})
    for failure in part.get("failures", []):
        if all(event.get(name) == value for name, value in failure["when"].items()) and asked <= failure["times"]:
            if failure["kind"] == "dies":
                end()
            raise {"transient": TransientError, "permanent": PermanentError}[failure["kind"]](failure["says"])
    if "by_entity" in part:
        answer = part["by_entity"][event["entity"]]
        # A first load that only ends is handed on as it came.
        return {**answer, **event, "batches": 0} if event.get("portion") == "end" else answer
    answers = part["answers"]
    return answers[min(asked, len(answers)) - 1]

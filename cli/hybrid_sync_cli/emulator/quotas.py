"""AWS's sizes and times, which ministack lets pass: what would fail there fails here, by the same name.

Step Functions: a state's input, result and output hold at most 256 KiB of JSON; more ends in
States.DataLimitExceeded, which States.ALL does not catch ("Error names in Step Functions").
Lambda: a response holds at most 6,291,556 bytes. REST API: an integration answers within 29 seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

from hybrid_sync_cli.emulator.refusals import LATE, PAYLOAD, record

STATE_BYTES = 262_144
RESPONSE_BYTES = 6_291_556
API_SECONDS = "HYBRID_SYNC_API_SECONDS"
STATES = ("_execute_pass", "_execute_task", "_execute_choice", "_execute_wait", "_execute_parallel", "_execute_map")
TOO_LARGE = "States.DataLimitExceeded"
# Neither is caught by a wildcard.
BY_NAME_ONLY = {TOO_LARGE, "States.Runtime"}


def size(value: Any) -> int:
    """Bytes of a value as JSON without spaces."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def limit_states(stepfunctions: Any) -> None:
    """Check what goes into and comes out of every state, and of every call that a task makes."""
    invoke, matches = stepfunctions._invoke_resource, stepfunctions._error_matches

    def checked(value: Any, state: str) -> Any:
        found = size(value)
        if found > STATE_BYTES:
            record(PAYLOAD, state=state, bytes=found)
            raise stepfunctions._ExecutionError(
                TOO_LARGE,
                f"The state/task '{state}' returned a result with a size exceeding the maximum number of bytes"
                " service limit.",
            )
        return value

    def limited(play: Callable[..., tuple[Any, Any]]) -> Callable[..., tuple[Any, Any]]:
        def run(definition: Any, data: Any, *rest: Any) -> tuple[Any, Any]:
            name = str(rest[-1]["State"]["Name"])
            output, following = play(definition, checked(data, name), *rest)
            return checked(output, name), following

        return run

    def call(resource: str, data: Any) -> Any:
        name = resource.rpartition(":::")[2].partition(":")[0] or resource
        return checked(invoke(resource, checked(data, name)), name)

    def caught(names: list[str], error: str) -> bool:
        return error in names if error in BY_NAME_ONLY else bool(matches(names, error))

    for name in STATES:
        setattr(stepfunctions, name, limited(getattr(stepfunctions, name)))
    stepfunctions._invoke_resource = call
    stepfunctions._error_matches = caught


def answered(function: str, result: Any) -> Any:
    """A function's result as Lambda hands it on: an error when it is too large."""
    if not isinstance(result, dict) or result.get("error"):
        return result
    found = size(result.get("body"))
    if found <= RESPONSE_BYTES:
        return result
    record(PAYLOAD, function=function, bytes=found)
    error = {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": f"Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES} bytes).",
    }
    return {"body": error, "error": True, "log": result.get("log", "")}


def limit_api(gateway: Any) -> None:
    """A call that its function has not answered in time is answered with 504; the function goes on, as on AWS."""
    original = gateway._call_lambda_raw
    seconds = float(os.environ.get(API_SECONDS) or 29)

    async def call(function: Any, event: Any, **scope: Any) -> Any:
        task = asyncio.ensure_future(original(function, event, **scope))
        if (await asyncio.wait({task}, timeout=seconds))[0]:
            return task.result()
        task.add_done_callback(lambda late: late.cancelled() or late.exception())
        record(LATE, function=str(function).rpartition(":function:")[2], seconds=seconds)
        body = json.dumps({"message": "Endpoint request timed out"})
        answer = {"statusCode": 504, "headers": {"Content-Type": "application/json"}, "body": body}
        return {"body": answer, "log": ""}, None

    gateway._call_lambda_raw = call

"""What the emulator was asked, one JSON object a line: calls of functions, requests of theirs, states entered.

AWS has this as REPORT lines, CloudTrail and execution histories.  Names, ids and milliseconds, never a payload.  A
request carries the trace of the call that made it (botocore's X-Amzn-Trace-Id), so that it belongs to a run by what the
emulator has seen, and not by what the engine says.  One that `faults` strikes is noted like the others.
"""

from __future__ import annotations

import contextvars
import json
import os
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from hybrid_sync_cli.emulator import faults

FILE = "HYBRID_SYNC_REQUESTS"
CALL, REQUEST, STATE = "call", "request", "state"
_of: contextvars.ContextVar[tuple[str, str]] = contextvars.ContextVar("of", default=("", ""))
_caller: dict[str, str] = {}
"""The function of each trace."""
_MAILS, _OUTBOX = "/v2/email/", "/v2/email/outbound-emails"
_SIGNED_FOR = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/")


def note_requests(app: Any) -> None:
    """Every request that a function has signed; those of SES's second API have a way of their own."""
    failing = faults.from_environment()

    def noting(original: Callable[..., Any], *, of: str = "") -> Callable[..., Any]:
        async def dispatch(method: str, path: str, headers: dict[str, str], body: bytes, *rest: Any) -> Any:
            trace = headers.get("x-amzn-trace-id")
            if trace and path.startswith(of):
                found = _SIGNED_FOR.search(headers.get("authorization", ""))
                service = "sesv2" if path.startswith(_MAILS) else found[1] if found else ""
                name = _name(method, path, headers, body)
                _append(kind=REQUEST, trace=_root(trace), service=service, name=name)
                function = _caller.get(_root(trace), "")
                if failing and (fault := failing.striking(service, name, function, path, body)):
                    if fault.done:
                        await original(method, path, headers, body, *rest)
                    return fault.answer(headers)
            return await original(method, path, headers, body, *rest)

        return dispatch

    app._dispatch_service_request = noting(app._dispatch_service_request)
    app._handle_ses_v2_request = noting(app._handle_ses_v2_request, of=_MAILS)


def note_call(invoke: Callable[..., Any]) -> Callable[..., Any]:
    """Every call of a function, under a trace of its own."""

    def noted(worker: Any, event: Any, request_id: str, **more: Any) -> Any:
        more["trace_id"] = trace = more.get("trace_id") or f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"
        _caller[_root(trace)] = worker.func_name
        began = time.perf_counter()
        result = invoke(worker, event, request_id, **more)
        spent = round((time.perf_counter() - began) * 1000, 3)
        _append(kind=CALL, trace=_root(trace), function=worker.func_name, run=_run(event), milliseconds=spent)
        return result

    return noted


def note_states(stepfunctions: Any) -> None:
    """Every state that an execution, or a child of its distributed maps, enters; a retry enters it again."""
    task, add_event = stepfunctions._execute_task, stepfunctions._add_event

    def entered(play: Callable[..., Any]) -> Callable[..., Any]:
        def run(definition: Any, data: Any, *rest: Any) -> Any:
            _append(kind=STATE, run=rest[-1]["Execution"]["Name"], state=rest[-1]["State"]["Name"])
            return play(definition, data, *rest)

        return run

    def execute(definition: Any, data: Any, execution: Any, context: Any) -> Any:
        # A distributed map's child has a name of its own, and its parent's context.
        _of.set((context["Execution"]["Name"], context["State"]["Name"]))
        return task(definition, data, execution, context)

    def added(execution: Any, kind: str, *details: Any) -> Any:
        if kind == "TaskScheduled":
            run, state = _of.get()
            _append(kind=STATE, run=run, state=state)
        elif kind in ("SucceedStateEntered", "FailStateEntered"):
            _append(kind=STATE, run=execution["name"], state=kind)
        return add_event(execution, kind, *details)

    for name in ("_execute_pass", "_execute_choice", "_execute_map"):
        setattr(stepfunctions, name, entered(getattr(stepfunctions, name)))
    stepfunctions._execute_task = execute
    stepfunctions._add_event = added


def _name(method: str, path: str, headers: dict[str, str], body: bytes) -> str:
    """The operation: of JSON services their target, of SNS its action, of S3 the method or LIST; SendEmail."""
    if target := headers.get("x-amz-target"):
        return target.rpartition(".")[2]
    if path == _OUTBOX:
        return "SendEmail"
    action = parse_qs(body.decode("utf-8", "replace")).get("Action") if method == "POST" else None
    of_bucket = method == "GET" and "/" not in path.strip("/")
    return action[0] if action else "LIST" if of_bucket else method


def _run(event: Any) -> str:
    """The run that a call is about; empty where none is named, as in a queue's message that is none of ours."""
    if not isinstance(event, dict):
        return ""
    sent = [_read(record["body"]) for record in event.get("Records", ()) if "body" in record]
    return min((str(one.get("run_id", "")) for one in (sent or [event])), default="")


def _read(body: str) -> dict[str, Any]:
    """Anybody may send anything to a queue; what is no object names no run."""
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _root(trace: str) -> str:
    return trace.partition(";")[0].removeprefix("Root=")


def _append(**line: Any) -> None:
    if path := os.environ.get(FILE):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

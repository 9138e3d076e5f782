"""An execution that does nothing: a state machine with one function that returns at once."""

from __future__ import annotations

import io
import itertools
import json
import secrets
import time
import zipfile

from hybrid_sync_cli.stack import Stack
from hybrid_sync_cli.stack.deploy import Host

_NAME = "bench-empty"
_ROLE = "arn:aws:iam::000000000000:role/bench-empty"
_CODE = "def handler(event, context):\n    return {}\n"


class Empty:
    """Such a machine on the stack, warm."""

    def __init__(self, stack: Stack) -> None:
        self._states = stack.client("stepfunctions")
        self._numbers = itertools.count()
        self._run = secrets.token_hex(3)
        function = stack.client("lambda").create_function(
            FunctionName=_NAME, Runtime=f"python{Host.this().python}", Handler="app.handler", Role=_ROLE,
            Code={"ZipFile": _zipped()}, Timeout=30,
        )["FunctionArn"]  # fmt: skip
        task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": True,
                "Parameters": {"FunctionName": function, "Payload": {}}}  # fmt: skip
        definition = {"StartAt": "Nothing", "States": {"Nothing": task}}
        made = self._states.create_state_machine(name=_NAME, definition=json.dumps(definition), roleArn=_ROLE)
        self._machine = made["stateMachineArn"]
        self.seconds()

    def seconds(self) -> float:
        """From before its start was asked for to its end, as the service tells it."""
        began = time.time()
        execution = self._states.start_execution(
            stateMachineArn=self._machine, name=f"{self._run}-{next(self._numbers)}", input="{}"
        )["executionArn"]
        while (now := self._states.describe_execution(executionArn=execution))["status"] == "RUNNING":
            time.sleep(0.02)
        return float(now["stopDate"].timestamp() - began)


def _zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", _CODE)
    return packed.getvalue()

"""The emulator with functions and state machines made by hand."""

from __future__ import annotations

import io
import json
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.config import Config

from hybrid_sync_cli.stack import deploy, home
from hybrid_sync_cli.stack.aws import Aws, ensure_environments
from hybrid_sync_cli.stack.deploy import Host

ACCOUNT = "000000000000"


def zipped(files: dict[str, str]) -> bytes:
    blob = io.BytesIO()
    with zipfile.ZipFile(blob, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return blob.getvalue()


def stack_python() -> Path:
    ensure_environments(home.project_root())
    return home.project_root() / ".venv-stack" / "bin" / "python"


@dataclass(frozen=True)
class Emulated:
    """An emulator that runs, and what tests put into it."""

    aws: Aws

    def client(self, service: str) -> Any:
        return deploy.client(service, self.aws.endpoint)

    def role(self, name: str, service: str, *allowed: tuple[str, str]) -> str:
        """The ARN of a role that may do these (action, resource)."""
        iam = self.client("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy([trust]))
        if allowed:
            granted = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in allowed]
            iam.put_role_policy(RoleName=name, PolicyName="allowed", PolicyDocument=_policy(granted))
        return str(made["Role"]["Arn"])

    def function(self, name: str, code: str, role: str) -> str:
        made = self.client("lambda").create_function(
            FunctionName=name, Runtime=f"python{Host.this().python}", Handler="app.handler", Role=role, Timeout=20,
            Code={"ZipFile": zipped({"app.py": code})},
        )  # fmt: skip
        return str(made["FunctionArn"])

    def invoke(self, name: str, **event: Any) -> tuple[str | None, Any]:
        """The function's error and its answer; never tried again."""
        answer = _impatient("lambda", self.aws.endpoint).invoke(FunctionName=name, Payload=json.dumps(event).encode())
        return answer.get("FunctionError"), json.loads(answer["Payload"].read())

    def run(self, name: str, states: dict[str, Any], role: str, given: Any) -> dict[str, Any]:
        """The end of one execution of a machine that begins with the first state."""
        machines = self.client("stepfunctions")
        definition = json.dumps({"StartAt": next(iter(states)), "States": states})
        machine = machines.create_state_machine(name=name, definition=definition, roleArn=role)["stateMachineArn"]
        run = machines.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"]
        while (told := machines.describe_execution(executionArn=run))["status"] == "RUNNING":
            time.sleep(0.02)
        return dict(told)


def _impatient(service: str, endpoint: str) -> Any:
    import boto3

    return boto3.client(
        service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test",
        aws_secret_access_key="test", config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip


def _policy(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})

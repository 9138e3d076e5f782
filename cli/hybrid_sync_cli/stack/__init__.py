"""The stack on this machine, as other commands see it: where things listen, and how to talk to them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.processes import Processes
from hybrid_sync_cli.stack.supabase_auth.passwords import passwords

STACK_NAME = "hybrid-sync"
REGION = "us-east-1"
STATE = "stack.json"
# What the emulator takes for credentials; they are no secret and open nothing.
ACCESS = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test")


@dataclass(frozen=True)
class Stack:
    """A running stack. DSNs are connection URLs; an empty URL or key means that part is off."""

    legacy_dsn: str  # the owner's, for people
    target_dsn: str  # the project's admin, for people
    worker_legacy_dsn: str  # may only read; what the functions use
    worker_target_dsn: str  # the role with the least rights; what the functions use
    supabase_url: str
    supabase_anon_key: str
    supabase_service_key: str
    aws_endpoint_url: str
    api_url: str
    region: str
    outputs: dict[str, str]  # of the deployed template
    owned: bool  # False when a person brought a database of their own
    project_url: str = ""  # /auth/v1 is below it, whether REST is on or off
    target_ca: str = ""  # PEM text, where the target demands TLS

    @classmethod
    def load(cls) -> Stack:
        """The stack that runs now; CliError when there is none."""
        stack = cls.find()
        if stack is None:
            raise CliError("No stack is running here: run hybrid-sync up, or name a deployment with --stack.")
        return stack

    @classmethod
    def find(cls) -> Stack | None:
        """The stack that runs now, or None."""
        described = home.read_json(home.directory() / STATE)
        if not described or Processes(home.directory()).recorded("aws") is None:
            return None
        return cls(**described)

    def save(self) -> None:
        """Announce the stack to other commands; the file holds passwords and is its owner's alone."""
        home.write_private(home.directory() / STATE, json.dumps(asdict(self), indent=1))

    def client(self, service: str) -> Any:
        """A boto3 client of that service on this stack, whatever AWS account the person is signed in to."""
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.aws_endpoint_url,
            region_name=self.region,
            aws_access_key_id=ACCESS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ACCESS["AWS_SECRET_ACCESS_KEY"],
        )

    def environment(self) -> dict[str, str]:
        """What `hybrid-sync env` prints: names that people's own tools understand."""
        return {
            "LEGACY_DSN": self.legacy_dsn,
            "TARGET_DSN": self.target_dsn,
            "SUPABASE_URL": self.supabase_url,
            "SUPABASE_ANON_KEY": self.supabase_anon_key,
            "SUPABASE_SERVICE_ROLE_KEY": self.supabase_service_key,
            "PROJECT_URL": self.project_url,
            **passwords(home.directory()),
            "AWS_ENDPOINT_URL": self.aws_endpoint_url,
            "AWS_DEFAULT_REGION": self.region,
            **ACCESS,
            "API_URL": self.api_url,
        }

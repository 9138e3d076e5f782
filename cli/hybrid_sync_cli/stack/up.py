"""Bringing the stack up and down; an `up` may be killed at any point: the next one clears the remains."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from hybrid_sync.secret import ORDERED
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import REGION, STATE, Stack, databases, home, rest, supabase
from hybrid_sync_cli.stack.aws import Aws, ensure_environments
from hybrid_sync_cli.stack.databases import Databases
from hybrid_sync_cli.stack.deploy import Deployment, Host, fill_secret, outputs
from hybrid_sync_cli.stack.home import StateFile
from hybrid_sync_cli.stack.options import UpOptions
from hybrid_sync_cli.stack.processes import Processes, end, free_port
from hybrid_sync_cli.stack.supabase_auth.process import NAME as AUTH
from hybrid_sync_cli.stack.supabase_auth.process import SupabaseAuth

Result = TypeVar("Result")


class Builder:
    """One `up`: builds what is missing, and says each step with its seconds."""

    def __init__(self, options: UpOptions, say: Callable[[str], None]) -> None:
        self.options = options
        self.say = say
        self.processes = Processes(home.directory())
        self.state = StateFile(self.processes.home / "keep.json")
        self.deployment = Deployment(
            home.project_root(), self.processes.home / "sam", Host.this(), options.strict, options.mail
        )

    def run(self) -> Stack:
        """A running stack with the present template deployed; when that fails, nothing is left running."""
        self._same_databases()
        living = self._living()
        if living is not None:
            return self._refreshed(living)
        databases.check(self.options)
        tear_down(self.processes, self.state)
        self.options.check_ports()
        try:
            return self._built()
        except BaseException:  # an interrupt too: what was started has nobody else to end it
            tear_down(self.processes, self.state)
            raise

    def _same_databases(self) -> None:
        """CliError when the stack stood on a person's own databases and these were not named again."""
        before = self.state.get("wishes") or {}
        given = self.options.databases()
        if forgotten := [f"--{side}-dsn" for side, dsn in given.items() if before.get(side) and not dsn]:
            raise CliError(
                f"The stack was brought up on databases of your own: give {' and '.join(forgotten)} again, "
                "or run hybrid-sync down first to go over to the stack's own databases."
            )

    def _built(self) -> Stack:
        project = self.deployment.project
        aws = Aws(self.processes, self.options.strict, self.options.injected)
        served = rest.Rest(self.processes)
        self._timed("environments", lambda: ensure_environments(project))
        # Building keeps a core busy, starting servers is mostly waiting: side by side.
        with ThreadPoolExecutor() as pool:
            building = pool.submit(self._timed, "build", self.deployment.build)
            starting = pool.submit(self._timed, "aws", lambda: self._start_aws(aws))
            sides = self._timed(
                "databases",
                lambda: databases.prepare(self.options, self.processes, self.state, project),
            )
            has_rest = self._timed("rest", lambda: self._start_project(served, sides))
            starting.result()
            building.result()
        stack = Stack(
            legacy_dsn=sides.legacy_dsn,
            target_dsn=sides.target_dsn,
            worker_legacy_dsn=sides.worker_legacy_dsn,
            worker_target_dsn=sides.worker_target_dsn,
            supabase_url=served.url if has_rest else "",
            supabase_anon_key=self._api_key("anon") if has_rest else "",
            supabase_service_key=self._api_key("service_role") if has_rest else "",
            aws_endpoint_url=aws.endpoint,
            api_url="",
            region=REGION,
            outputs={},
            owned=not any(self.options.databases().values()),
            project_url=served.url,
            target_ca=sides.target_ca,
        )
        self.state.put("wishes", self.options.databases())
        self.state.put("manners", self.options.manners())
        return self._timed("deploy", lambda: self._deployed(stack))

    def _living(self) -> Stack | None:
        """The running stack when it is whole, and the one that was asked for; else None."""
        stack = Stack.find()
        if stack is None or not self.state.get("deployed") or self.state.get("wishes") != self.options.databases():
            return None
        if self.state.get("manners") != self.options.manners():
            return None
        servers = [side for side, dsn in self.options.databases().items() if not dsn]
        servers += ["gateway", AUTH, *(["postgrest"] if stack.supabase_url else [])]
        asked = {name: port for name, port in self.options.ports.items() if port}
        same_ports = all(self.state.get(f"{name}_port") == port for name, port in asked.items())
        return stack if same_ports and all(self.processes.recorded(name) for name in servers) else None

    def _refreshed(self, stack: Stack) -> Stack:
        """Bring a running stack up to date; nothing is deployed when nothing has changed."""
        self._timed("databases", lambda: databases.install(stack.target_dsn, self.state, self.deployment.project))
        self._timed("build", self.deployment.build)
        if self.state.get("deployed") == self.deployment.fingerprint():
            self.say("The stack is up already, and nothing has changed.")
            return stack
        return self._timed("deploy", lambda: self._deployed(stack))

    def _start_aws(self, aws: Aws) -> None:
        aws.start(self.deployment.project / ".venv-stack" / "bin" / "python", self.options.port("aws", self.state))

    def _start_project(self, served: rest.Rest, sides: Databases) -> bool:
        """What a hosted project has besides its database: Auth, and REST where that can be; whether it is there."""
        port = free_port(self.options.port("rest", self.state))
        auth = SupabaseAuth(self.processes)
        auth.start(f"http://127.0.0.1:{port}", self._jwt_secret())
        binary = rest.find_postgrest(self.processes.home) if sides.authenticator_dsn else None
        if isinstance(binary, Path):
            served.ensure(
                binary, authenticator_dsn=sides.authenticator_dsn, jwt_secret=self._jwt_secret(), port=port,
                auth_port=auth.port,
            )  # fmt: skip
            return True
        why = "it stands before the stack's own target only." if binary is None else binary.reason
        self.say(f"REST is off: {why}")
        served.only_auth(auth.port, port)
        return False

    def _deployed(self, stack: Stack) -> Stack:
        """Deploy, fill the secret, and announce the stack."""
        wanted = self.deployment.fingerprint()
        # Unset until all is done: an interrupted deployment must not pass for a living stack.
        self.state.put("deployed", None)
        self.deployment.deploy(stack.aws_endpoint_url)
        found = outputs(stack.aws_endpoint_url)
        stack = replace(stack, outputs=found, api_url=_api_url(stack.aws_endpoint_url, found))
        if "ConnectionSecret" in found:
            values = self._secret_values(stack)
            fill_secret(stack.aws_endpoint_url, found["ConnectionSecret"], json.dumps(values))
            fill_secret(stack.aws_endpoint_url, found["IdSecret"], values["id_secret"])
        for name, url in (("aws", stack.aws_endpoint_url), ("rest", stack.project_url)):
            self.state.put(f"{name}_port", int(url.rpartition(":")[2]) if url else None)
        stack.save()
        self.state.put("deployed", wanted)
        return stack

    def _secret_values(self, stack: Stack) -> dict[str, str]:
        return {
            "legacy_dsn": stack.worker_legacy_dsn,
            "target_dsn": stack.worker_target_dsn,
            "target_ca": stack.target_ca,
            # Ids are derived from it: the same for as long as the target's data lives, in order or without one.
            "id_secret": self.state.secret("id_secret", 48, ORDERED),
            "supabase_url": stack.project_url,
            "supabase_anon_key": self._api_key("anon"),
            "dashboard_url": f"{stack.api_url}/dashboard",
            "supabase_jwt_secret": self._jwt_secret(),
            "deployment": databases.deployment(self.state),
        }

    def _jwt_secret(self) -> str:
        return self.state.secret("jwt_secret", 32)

    def _api_key(self, role: str) -> str:
        return supabase.api_key(role, self._jwt_secret())

    def _timed(self, step: str, work: Callable[[], Result]) -> Result:
        began = time.monotonic()
        result = work()
        self.say(f"{step:<13} {time.monotonic() - began:5.1f} s")
        return result


def _api_url(endpoint: str, found: dict[str, str]) -> str:
    """The deployed API as the emulator serves it; its AWS host name exists on AWS only."""
    if "ApiId" not in found:
        return ""
    return f"{endpoint}/_aws/execute-api/{found['ApiId']}/{found.get('ApiStage', 'live')}"


def tear_down(processes: Processes, state: StateFile) -> None:
    """Stop everything of this home, recorded or not; data and passwords stay."""
    (processes.home / STATE).unlink(missing_ok=True)
    state.put("deployed", None)
    rest.Rest(processes).stop()
    SupabaseAuth(processes).stop()
    Aws(processes).stop()
    for side in ("legacy", "target"):
        databases.cluster(side, processes, state).stop()
    end(processes.marked())


def purge(processes: Processes, state: StateFile) -> None:
    """Stop everything and delete the home with all its data."""
    tear_down(processes, state)
    for path in {home.reachable(processes.home), processes.home}:
        shutil.rmtree(path, ignore_errors=True)

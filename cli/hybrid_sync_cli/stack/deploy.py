"""`sam build` and `sam deploy` of the unmodified template, built for the machine that will run it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hybrid_sync.catalog.load import load
from hybrid_sync.catalog.parsed import write_parsed
from hybrid_sync.catalog.webhooks import load_webhooks
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import ACCESS, REGION, STACK_NAME, aws
from hybrid_sync_cli.stack.build_id import build_id, seal
from hybrid_sync_cli.stack.processes import MARK

MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Host:
    """What functions run on here; on AWS they run on what the template's defaults say."""

    python: str  # "3.11"
    architecture: str  # as Lambda names it
    platform: str  # as uv names it

    @classmethod
    def this(cls) -> Host:
        machine = platform.machine().lower()
        if machine not in MACHINES:
            raise CliError(f"Lambda knows no {machine} processors: run the stack on x86_64 or arm64.")
        architecture = MACHINES[machine]
        cpu = "aarch64" if architecture == "arm64" else "x86_64"
        return cls(f"{sys.version_info.major}.{sys.version_info.minor}", architecture, f"{cpu}-{_system()}")


def _system() -> str:
    """The part of uv's platform name that tells which compiled wheels load here."""
    if sys.platform == "darwin":
        return "apple-darwin"
    library, version = platform.libc_ver()
    if library != "glibc":
        return "unknown-linux-musl"
    recent = tuple(int(part) for part in version.split(".")[:2]) >= (2, 28)
    return "manylinux_2_28" if recent else "manylinux_2_17"


def require_catalog(project: Path) -> None:
    """CatalogError that names every mistake: what is built would find them when the first event comes."""
    folder = project / "layers" / "catalog"
    load_webhooks(load(folder), folder)


def keep_parsed(built: Path) -> None:
    """Put beside the catalog that `sam build` has copied what its files say: no worker parses YAML then."""
    write_parsed(built / "CatalogLayer" / "python" / "hybrid_sync_catalog")


class _Template(yaml.SafeLoader):
    """Reads a template without minding what CloudFormation's tags (!Ref …) mean."""


_Template.add_multi_constructor("!", lambda loader, suffix, node: None)


def parameters(template: Path) -> dict[str, dict[str, Any]]:
    """The parameters that a template declares, by name."""
    # A SafeLoader at heart: it makes plain values only.
    content: dict[str, Any] = yaml.load(template.read_text("utf-8"), Loader=_Template)  # nosec B506
    return dict(content.get("Parameters") or {})


@dataclass(frozen=True)
class Deployment:
    """One template of `project`, built into `workshop`."""

    project: Path
    workshop: Path
    host: Host
    strict: bool = False
    mail: tuple[str, str] = ("none", "none")
    region: str = REGION

    @property
    def sam(self) -> Path:
        return self.project / ".venv-sam" / "bin" / "sam"

    def overrides(self) -> dict[str, str]:
        """Parameter values that suit one machine, as far as the template has such parameters."""
        wanted = {
            "LambdaRuntime": f"python{self.host.python}",
            "LambdaArchitecture": self.host.architecture,
            # The strict stack's target has few; any other is as most deployments are, whose functions keep theirs.
            "TargetConnections": "8" if self.strict else "15",
            # A person watches: what fails is tried again at once, not after the time that a cloud needs.
            "RetryDelaySeconds": "1",
            "LogRetentionDays": "7",
            "MailFrom": self.mail[0],
            "AlertEmail": self.mail[1],
        }
        known = parameters(self.project / "template.yaml")
        return {name: value for name, value in wanted.items() if name in known}

    def fingerprint(self) -> str:
        """A hash of everything that the deployed stack is made from."""
        return build_id(self.project, json.dumps([self.overrides(), self.host.platform]))

    def build(self) -> None:
        """Build functions and layers; nothing to do when they are built from the same inputs already."""
        stamp = self.workshop / "built"
        cache = self.workshop / f"cache-{self.host.python}-{self.host.platform}"
        wanted = self.fingerprint()
        if stamp.exists() and stamp.read_text("utf-8") == wanted:
            return
        require_catalog(self.project)
        stamp.unlink(missing_ok=True)
        self._run(
            "build", "--template-file", "template.yaml", "--cached", "--parallel",
            "--build-dir", str(self.workshop / "build"), "--cache-dir", str(cache),
        )  # fmt: skip
        keep_parsed(self.workshop / "build")
        seal(self.workshop / "build" / "template.yaml", wanted)
        stamp.write_text(wanted, "utf-8")

    def deploy(self, endpoint: str) -> None:
        """Create or update the stack at `endpoint` from what was built."""
        pairs = [f"{name}={value}" for name, value in self.overrides().items()]
        self._run(
            "deploy", "--template-file", str(self.workshop / "build" / "template.yaml"),
            "--stack-name", STACK_NAME, "--region", self.region, "--resolve-s3",
            "--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND",
            "--no-confirm-changeset", "--no-fail-on-empty-changeset",
            "--parameter-overrides", *pairs,
            endpoint=endpoint,
        )  # fmt: skip

    def _run(self, verb: str, *arguments: str, endpoint: str = "") -> None:
        log = self.workshop.parent / "logs" / f"sam-{verb}.log"
        log.parent.mkdir(mode=0o700, exist_ok=True)
        self.workshop.mkdir(mode=0o700, parents=True, exist_ok=True)
        tools = [
            str(self.project / ".venv" / "bin"),
            str(Path(sys.executable).parent),
            os.environ.get("PATH", ""),
        ]
        environment = {
            **aws.environment(self.region),
            MARK: str(self.workshop.parent),
            "PATH": os.pathsep.join(tools),
            "PYTHON": sys.executable,
            "HYBRID_SYNC_LAYER_PYTHON": self.host.python,
            "HYBRID_SYNC_LAYER_PLATFORM": self.host.platform,
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.2",
            # sam keeps its own settings there; a person's home is not ours to write to.
            "__SAM_CLI_APP_DIR": str(self.workshop / "sam"),
        }
        if endpoint:
            environment["AWS_ENDPOINT_URL"] = endpoint
        with log.open("w", encoding="utf-8") as output:
            done = subprocess.run(
                [str(self.sam), verb, *arguments],
                cwd=self.project,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if done.returncode:
            raise CliError(f"sam {verb} failed ({_reason(log)}); the whole story is in {log}.")


def _reason(log: Path) -> str:
    """The line of sam's output that names the error, else its last one."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    complaints = [line for line in lines if "error" in line.lower() or "failed" in line.lower()]
    return (complaints or lines or ["it said nothing"])[-1].rstrip(".")


def client(service: str, endpoint: str, region: str = REGION) -> Any:
    import boto3

    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=ACCESS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ACCESS["AWS_SECRET_ACCESS_KEY"],
    )


def outputs(endpoint: str, region: str = REGION) -> dict[str, str]:
    """The outputs of the deployed stack by name."""
    described = client("cloudformation", endpoint, region).describe_stacks(StackName=STACK_NAME)
    return {item["OutputKey"]: item["OutputValue"] for item in described["Stacks"][0].get("Outputs", [])}


def fill_secret(endpoint: str, secret: str, value: str) -> None:
    """Put it where the functions read it."""
    client("secretsmanager", endpoint).put_secret_value(SecretId=secret, SecretString=value)

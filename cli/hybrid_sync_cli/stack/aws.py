"""AWS on this machine: ministack behind our launcher, on 127.0.0.1 alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from hybrid_sync_cli.emulator import faults, requests
from hybrid_sync_cli.emulator.injected import WORDS
from hybrid_sync_cli.emulator.refusals import FILE
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import ACCESS, REGION, home
from hybrid_sync_cli.stack.processes import Processes, free_port, wait_until

START_SECONDS = 60.0
LAUNCHER = Path(__file__).with_name("lambdas.py")


def environment(region: str = REGION) -> dict[str, str]:
    """Our environment without a person's own AWS account, so that nothing here can reach it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    nowhere = str(home.directory() / "no-aws-config")
    return {
        **kept,
        **ACCESS,
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "AWS_CONFIG_FILE": nowhere,
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def ensure_environments(project: Path) -> None:
    """Make .venv-sam and .venv-stack when they are not there yet (a second, with a warm cache)."""
    ready = [project / name / ".ready" for name in (".venv-sam", ".venv-stack")]
    if all(path.exists() for path in ready):
        return
    done = subprocess.run(["make", "--silent", "environments"], cwd=project, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise CliError(f"The environments for AWS could not be made ({' '.join(said)}): run make environments.")


@dataclass
class Aws:
    """The emulator, as one recorded process that starts a process per running function."""

    processes: Processes
    strict: bool = False  # every role is judged, as on AWS
    injected: str = ""  # what emulator.injected puts in the way
    port: int = 0
    region: str = REGION

    @property
    def refusals(self) -> Path:
        """What was refused since the start (emulator.refusals)."""
        return self.processes.home / "refusals.jsonl"

    @property
    def requests(self) -> Path:
        """What was asked since the start (emulator.requests)."""
        return self.processes.home / "requests.jsonl"

    @property
    def faults(self) -> Path:
        """What AWS shall fail by (emulator.faults)."""
        return self.processes.home / "aws-faults.json"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, python: Path, port: int | None) -> None:
        """Answering at `endpoint` when this returns; it begins empty, as it keeps all in memory."""
        self.port = free_port(port)
        scratch = self.processes.home / "tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        for log in (self.refusals, self.requests):
            home.write_private(log, "")
        faults.put(self.faults)
        server = self.processes.start(
            "aws",
            [python, "-P", LAUNCHER],
            cwd=scratch,
            env={
                **environment(self.region),
                "BIND_HOST": "127.0.0.1",
                "MINISTACK_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(self.port),
                "MINISTACK_REGION": self.region,
                "LAMBDA_EXECUTOR": "local",
                "AUTH": str(self.strict).lower(),
                FILE: str(self.refusals),
                requests.FILE: str(self.requests),
                faults.FILE: str(self.faults),
                WORDS: self.injected,
                "TMPDIR": str(scratch),
                # Access logs quote the query string of every poll; what is read here is errors.
                "LOG_LEVEL": "WARNING",
            },
        )

        def failed() -> str | None:
            return None if server.poll() is None else self.processes.log_tail("aws")

        wait_until(self._answers, seconds=START_SECONDS, failed=failed, what="The AWS emulator")

    def stop(self) -> None:
        """Stop the emulator with its functions; it would wait for open polls, and has nothing to save."""
        self.processes.stop("aws", grace=1.0)

    def _answers(self) -> bool:
        try:
            # The address is ours, of 127.0.0.1.
            with urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=5):  # nosec B310
                return True
        except OSError:
            return False

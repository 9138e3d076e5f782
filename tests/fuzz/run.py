"""schemathesis over the OpenAPI document of a deployed stack: no answer of 5xx, and each as its schema says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid_sync.services.messages.tokens import CreateAsked, CreatedToken, RevokeAsked, Revoked
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.stack import Stack

SETTINGS = Path(__file__).with_name("schemathesis.toml")
UNCHECKED = "unsupported_method"
"""API Gateway answers a method that it does not know by itself, and as an unknown path: with 404, and no Allow."""
RATE, BURST = 10_000, 5_000


@dataclass(frozen=True)
class Fuzzed:
    """What came of it; `said` is the tool's own report."""

    requests: int
    passed: bool
    said: str


def fuzz(stack: Stack, scopes: Sequence[str], examples: int, seed: int, folder: Path, phases: str) -> Fuzzed:
    """`examples` for each endpoint and phase, and every border of its document; with a token of these scopes."""
    with unthrottled(stack), token(stack, scopes) as bearer:
        words = [
            str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(SETTINGS), "run",
            f"{stack.api_url}/openapi.json", "--header", f"Authorization: Bearer {bearer}",
            "--checks", "all", "--exclude-checks", UNCHECKED, "--phases", phases,
            "--max-examples", str(examples), "--seed", str(seed), "--request-timeout", "40", "--warnings", "off",
            "--generation-database", "none", "--no-color", "--continue-on-failure",
        ]  # fmt: skip
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    counted = re.search(r"([0-9,]+) generated", done.stdout)
    return Fuzzed(int(counted[1].replace(",", "")) if counted else 0, done.returncode == 0, done.stdout + done.stderr)


@contextmanager
def unthrottled(stack: Stack) -> Iterator[None]:
    """The stage lets as many requests through as come, and afterwards as many as before."""
    gateway = stack.client("apigateway")
    where = {"restApiId": stack.outputs["ApiId"], "stageName": "live"}
    before = gateway.get_stage(**where)["methodSettings"]["*/*"]
    gateway.update_stage(**where, patchOperations=_limits(RATE, BURST))
    try:
        yield
    finally:
        usual = _limits(before["throttlingRateLimit"], before["throttlingBurstLimit"])
        gateway.update_stage(**where, patchOperations=usual)


@contextmanager
def token(stack: Stack, scopes: Sequence[str]) -> Iterator[str]:
    """One that is revoked in the end."""
    deployment = Deployment.here(stack)
    made = deployment.ask("create-token", CreateAsked(name="fuzz", scopes=tuple(scopes), days=1), CreatedToken)
    try:
        yield made.token
    finally:
        deployment.ask("revoke-token", RevokeAsked(token_id=made.id), Revoked)


def _limits(rate: float, burst: int) -> list[dict[str, Any]]:
    named = {"rateLimit": int(rate), "burstLimit": burst}
    return [{"op": "replace", "path": f"/*/*/throttling/{name}", "value": str(n)} for name, n in named.items()]

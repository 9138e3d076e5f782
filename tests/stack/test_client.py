"""A client that a public generator makes of the OpenAPI document starts a sync and follows it to its end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from hybrid_sync.http.calls.metrics import OPEN_METRICS
from hybrid_sync.services.messages.tokens import CreateAsked, CreatedToken
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.progress import PAUSE
from hybrid_sync_cli.stack import Stack
from tests.stack.world import fill

PACKAGE = "generated_client"


@pytest.fixture
def client(deployed: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The generated package's client of this deployment, which shows a token of its own."""
    with urllib.request.urlopen(f"{deployed.api_url}/openapi.json", timeout=30) as answer:
        (tmp_path / "openapi.json").write_bytes(answer.read())
    # The generator knows no OpenMetrics, and reads a page of them as it does any text.
    settings = {"post_hooks": [], "content_type_overrides": {OPEN_METRICS: "text/html"}}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    generate = [
        str(Path(sys.executable).with_name("openapi-python-client")), "generate", "--meta", "none", "--fail-on-warning",
        "--path", "openapi.json", "--config", "settings.json", "--output-path", PACKAGE,
    ]  # fmt: skip
    subprocess.run(generate, cwd=tmp_path, check=True, capture_output=True, text=True)
    monkeypatch.syspath_prepend(str(tmp_path))
    fill(deployed)
    asked = CreateAsked(name="generated", scopes=("syncs:read", "syncs:write"), days=1)
    token = Deployment.here(deployed).ask("create-token", asked, CreatedToken).token
    generated = import_module(f"{PACKAGE}.client").AuthenticatedClient(
        base_url=deployed.api_url, token=token, raise_on_unexpected_status=True
    )
    with generated as client:
        yield client


def test_it_starts_a_sync_and_follows_it_to_the_end(client: Any) -> None:
    models = import_module(f"{PACKAGE}.models")
    start, show = (import_module(f"{PACKAGE}.api.syncs.{name}") for name in ("start_sync", "show_sync"))
    body = models.SyncRequest(refs=[models.Ref(entity="offices", legacy_id=1)], priority=models.RunPriority.CRITICAL)
    started = start.sync(client=client, body=body, idempotency_key="generated-1")
    again = start.sync(client=client, body=body, idempotency_key="generated-1")
    assert isinstance(started, models.StartedSync) and again.run_id == started.run_id
    while (state := show.sync(started.run_id, client=client)).status in ("waiting", "running"):
        time.sleep(PAUSE)
    assert (state.status, state.finished_at is None) == ("succeeded", False)
    assert [one.entity for one in state.entities] == ["offices"]
    refused = start.sync(client=client, body=models.SyncRequest(entities=["nonsense"]))
    assert isinstance(refused, models.Problem) and refused.code == "request_rejected"

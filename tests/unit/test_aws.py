"""What every request to AWS says of its sender."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import __version__
from moto import mock_aws

from hybrid_sync.aws import client


def test_requests_name_us_and_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEFAULT_REGION", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    heard: list[str] = []

    def sent(request: Any, **more: Any) -> None:
        heard.append(request.headers["User-Agent"].decode())

    with mock_aws():
        queues = client("sqs")
        queues.meta.events.register_first("before-send.sqs", sent)
        queues.list_queues()
    [said] = heard
    assert said.startswith(f"hybrid-sync Botocore/{__version__}")

"""What the emulator notes of a call, whatever the call is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hybrid_sync_cli.emulator.requests import FILE, note_call

BODIES = ["junk", "{}", "[1, 2]", "7", json.dumps({"run_id": "weekly-1"})]


class Worker:
    func_name = "retry-failure"


@pytest.mark.parametrize("body", BODIES)
def test_a_queues_message_of_any_form_reaches_its_function(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "requests.jsonl"
    monkeypatch.setenv(FILE, str(log))
    heard: list[Any] = []
    called = note_call(lambda _, event, __, **___: heard.append(event) or "answer")
    event = {"Records": [{"body": body}]}
    assert called(Worker(), event, "request-1") == "answer"
    assert heard == [event]
    [line] = map(json.loads, log.read_text("utf-8").splitlines())
    assert line["run"] == ("weekly-1" if "weekly" in body else "")

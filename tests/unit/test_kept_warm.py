"""A schedule's tick keeps what a critical request needs warm, and is no request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hybrid_sync.entrypoint import TICK, kept_warm
from hybrid_sync.errors import ConfigurationMissing
from tests.checks import templates
from tests.unit.lambdas import FakeContext

TEMPLATE = templates.load()
ON_THE_WAY = {"AuthorizeRequest", "ReceiveWebhook", "ServeApi", "SyncKeys"}
"""Functions that nobody else calls between a critical request and its row."""


def test_a_tick_gets_ready_and_reaches_no_handler() -> None:
    done: list[Any] = []
    handler = kept_warm(lambda: done.append("ready"))(lambda event, context: done.append(event))
    handler(dict(TICK), FakeContext())
    handler({"other": 1}, FakeContext())
    assert done == ["ready", {"other": 1}]


def test_a_tick_leaves_no_metric_and_does_not_fail(capsys: pytest.CaptureFixture[str]) -> None:
    def missing() -> None:
        raise ConfigurationMissing("The secret holds no legacy_dsn.", "Fill it in.")

    assert kept_warm(missing)(lambda event, context: event)(dict(TICK), FakeContext()) is None
    assert capsys.readouterr().out == ""


def test_every_function_on_the_way_of_a_critical_request_has_a_tick_and_no_other_one() -> None:
    ticked = {
        name: event["Properties"]
        for name, function in templates.functions(TEMPLATE).items()
        for event in function.get("Events", {}).values()
        if event["Properties"].get("Input") == json.dumps(TICK)
    }
    assert set(ticked) == ON_THE_WAY
    assert {json.dumps(tick["State"]) for tick in ticked.values()} == {
        json.dumps({"Fn::If": ["KeepsWarm", "ENABLED", "DISABLED"]})
    }
    assert json.loads(Path("events/keep_warm.json").read_text("utf-8")) == TICK

"""Answers of the deployed API are counted as whoever asked has seen them; command, API and SQL say the same of it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import psycopg
import pytest

from hybrid_sync.http.tokens import Tokens
from hybrid_sync.recorded.levels import Levels
from hybrid_sync.schema.install import WORKER
from hybrid_sync_cli.stack import STACK_NAME, Stack
from tests.cli.conftest import say
from tests.stack.test_authentication import _asked
from tests.stack.test_disturbed import altered, forget_breakers


def noted(stack: Stack) -> tuple[int, int]:
    """What the daily look has counted of today, when it has just looked."""
    answer = stack.client("lambda").invoke(FunctionName=f"{STACK_NAME}-watch-freshness", Payload=b"{}")
    assert "FunctionError" not in answer, answer["Payload"].read()
    with psycopg.connect(stack.target_dsn) as target:
        row = target.execute(
            "select answers, failed from hybrid_sync.api_day where day = %s", (datetime.now(UTC).date(),)
        ).fetchone()
    return (0, 0) if row is None else (row[0], row[1])


def test_what_the_gateway_answered_is_what_is_counted_and_told(
    deployed: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    token = Tokens(deployed.outputs["ControlTable"], deployed.client("dynamodb")).create("levels")[1]

    def ask(path: str) -> int:
        return _asked(deployed.api_url, "GET", path, b"", {"Authorization": f"Bearer {token}"})[0]

    before = noted(deployed)
    seen = [ask("/v1/freshness"), ask("/v1/freshness"), ask("/nowhere")]
    with altered(deployed.target_dsn, WORKER, "nologin", "login"):
        seen += [ask("/v1/freshness"), ask("/v1/freshness")]
    forget_breakers(deployed)
    after = noted(deployed)
    assert sum(status >= 500 for status in seen) == 2, seen
    assert (after[0] - before[0], after[1] - before[1]) == (5, 2)

    with psycopg.connect(deployed.target_dsn) as target:
        [(answers, failed)] = target.execute("select sum(answers), sum(failed) from hybrid_sync.api_day").fetchall()
    while ask("/v1/freshness") == 503:  # a worker believes for some seconds that the target is away
        time.sleep(0.2)
    told = _asked(deployed.api_url, "GET", "/v1/levels", b"", {"Authorization": f"Bearer {token}"})[1]
    said = Levels.model_validate_json(say(capsys, "levels", "--json").out)
    for found in (Levels.model_validate(told), said):
        [level] = [one for one in found.levels if one.name == "api_availability"]
        assert (level.part, level.whole) == (answers - failed, answers)
        assert str(level.outcome) == ("met" if (answers - failed) / answers >= 0.999 else "missed")
    assert json.loads(said.model_dump_json()).keys() == told.keys()
    assert "availability of the API" in say(capsys, "levels").out

"""No test and no benchmark has a flow of its own: a changed state machine file changes what all of them play."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel

from hybrid_sync.contracts import DeleteResult, LinkResult, PlannedRun, RunOutcome, RunRequest, SettleResult
from hybrid_sync_cli.flow import deployed
from hybrid_sync_cli.flow.execution import Execution
from tests.engine.worlds import EngineWorld, execution
from tests.faults.cloud import Store, StoredManifests
from tests.faults.driver import Driver, started
from tests.faults.worker import Order, Reply

HARNESSES = ("bench", "tests/cases", "tests/drill", "tests/faults", "tests/rollbacks")
# A verification that is delivered once more, after the run; and steps that no state of the flow calls.
BESIDE = {("tests/rollbacks/game.py", "verify_entity")}


@pytest.fixture
def shorter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file without the state that settles what deletes have freed."""
    text = deployed.definition()
    begin, end = text.index("  SettleFreed:\n"), text.index("  VerifyEntities:\n")
    changed = (text[:begin] + text[end:]).replace("Default: SettleFreed", "Default: VerifyEntities")
    file = tmp_path / "sync_run.asl.yaml"
    file.write_text(changed, "utf-8")
    monkeypatch.setattr(deployed, "STATE_MACHINE", file)
    deployed.flow.cache_clear()
    yield
    deployed.flow.cache_clear()


def engine_test() -> Execution:
    """Cases, rollbacks, drills and benchmarks play through it, too."""
    return execution(EngineWorld(None, "", ""), "run-1")  # type: ignore[arg-type]


def faults() -> Execution:
    return started(RunRequest(run_id="run-1"), StoredManifests(Store(Path(":memory:"))), lambda place, n: [])


@pytest.mark.parametrize("begin", [engine_test, faults])
def test_every_harness_plays_the_file(begin: Callable[[], Execution], request: pytest.FixtureRequest) -> None:
    assert "SettleFreed" in begin().flow.machine.states
    request.getfixturevalue("shorter")
    assert "SettleFreed" not in begin().flow.machine.states


class Answers:
    """Deliveries that are answered at once, of a run in which there is nothing to do."""

    results: Mapping[str, BaseModel] = {
        "plan_run": PlannedRun(run_id="run-1", profile="daily", waves=(), entities=()),
        "link_references": LinkResult(run_id="run-1", linked=0, pending=0, more=False),
        "propagate_deletes": DeleteResult(run_id="run-1", more=False),
        "settle_uniques": SettleResult(run_id="run-1", settled=0),
        "report_run": RunOutcome(run_id="run-1", status="succeeded", report="", summary={}),
    }

    def __init__(self) -> None:
        self.asked: list[str] = []

    def many(self, orders: list[Order]) -> list[Reply]:
        self.asked += [order.step for order in orders]
        return [Reply(self.results[order.step]) for order in orders]


def test_a_removed_state_is_no_longer_delivered(request: pytest.FixtureRequest) -> None:
    def asked() -> list[str]:
        answers = Answers()
        driver = Driver(answers, StoredManifests(Store(Path(":memory:"))), random.Random(1), None)  # type: ignore[arg-type]
        driver.run(RunRequest(run_id="run-1", profile="daily"))
        return answers.asked

    whole = asked()
    request.getfixturevalue("shorter")
    assert [step for step in whole if step != "settle_uniques"] == asked() != whole


def imported(file: Path) -> Iterator[str]:
    """The steps that a file imports."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hybrid_sync.steps."):
            yield str(node.module).rpartition(".")[2]


def test_no_harness_calls_a_step_of_the_flow_itself() -> None:
    played = set(deployed.substitutions().values()) - {"rollback_run"}
    files = [file for folder in HARNESSES for file in Path(folder).rglob("*.py")] + [Path("tests/engine/worlds.py")]
    called = {(str(file), step) for file in files for step in imported(file) if step in played}
    assert called == BESIDE

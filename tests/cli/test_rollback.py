"""`hybrid-sync rollback`, with the engine behind it on real PostgreSQL."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from hybrid_sync.contracts import RollbackTask
from hybrid_sync.entrypoint import error_sentence
from hybrid_sync.errors import SyncError
from hybrid_sync.runs.undo_function import UndoFunction
from hybrid_sync.steps.rollback_run import rollback_run
from tests.cli.conftest import Command, announce
from tests.cli.gateway import Desk, gateway
from tests.engine.worlds import run
from tests.rollbacks.ground import Ground


@pytest.fixture
def ground(legacy_db: str, target_db: str) -> Iterator[Ground]:
    """Two runs: the first brought everything, the second one more person."""
    made = Ground(legacy_db, target_db)
    run(made.world, "first")
    made.legacy.execute("update person set settings = '{}' where id = 2")
    made.legacy.execute("insert into person (id, email) values (100, 'new@example.org')")
    run(made.world, "second")
    yield made
    made.close()


class Undo:
    """The function that undoes runs, with its answers as Lambda hands them on."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - AWS's names
        assert FunctionName == "the-rollback"
        try:
            done = rollback_run(self._ground.world, RollbackTask.model_validate_json(Payload))
            return {"Payload": io.BytesIO(done.model_dump_json().encode())}
        except SyncError as error:
            sentence, transient = error_sentence(error)
            name = "TransientError" if transient else "PermanentError"
            told = json.dumps({"errorType": name, "errorMessage": sentence})
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(told.encode())}


@pytest.fixture
def stack(ground: Ground, target_db: str, hybrid_sync: Command) -> Iterator[None]:
    desk = Desk(ground.world.catalog, target_db, undo=UndoFunction("the-rollback", Undo(ground)))
    with gateway(desk) as address:
        announce(address, target_db)
        yield


@pytest.mark.usefixtures("stack")
def test_a_run_is_undone_and_its_entities_released(hybrid_sync: Command, ground: Ground) -> None:
    said = hybrid_sync("rollback", "second")
    assert (said.status, said.err) == (0, "")
    assert "Run second is undone by rollback-second-1: 1 rows put back, 1 deleted, 0 brought back." in said.out
    assert "hybrid-sync release people" in said.out
    assert ground.target.execute("select count(*) from people where legacy_id = 100").fetchone() == (0,)
    listed = hybrid_sync("holds")
    assert "rollback-second-1" in listed.out
    assert hybrid_sync("release", "people").status == 0
    assert hybrid_sync("holds").out == "No entity is held.\n"


@pytest.mark.usefixtures("stack")
def test_what_was_left_alone_is_counted_and_the_status_says_so(hybrid_sync: Command, ground: Ground) -> None:
    ground.target.execute("update people set born = '2001-01-01' where legacy_id = 2")
    said = hybrid_sync("rollback", "second")
    assert said.status == 1
    assert "Left alone, edited natively: 1." in said.out
    assert "Their keys: hybrid-sync report rollback-second-1" in said.out


@pytest.mark.usefixtures("stack")
def test_what_stands_in_the_way_is_one_sentence(hybrid_sync: Command) -> None:
    said = hybrid_sync("rollback", "first")
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith("hybrid-sync: Run second has written to the same entities since run first.")
    assert "--out-of-order" in said.err
    assert hybrid_sync("rollback", "nope").err.startswith("hybrid-sync: There is no run nope.")


def test_a_function_that_is_slow_to_start_says_nothing_before_it_has_done_anything(
    hybrid_sync: Command, ground: Ground, target_db: str
) -> None:
    undo = Undo(ground)
    waits = iter([True, True, False, False, False])

    class Starting:
        def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - AWS's names
            if next(waits):
                raise ReadTimeoutError(endpoint_url="lambda")
            return undo.invoke(FunctionName, Payload)

    desk = Desk(ground.world.catalog, target_db, undo=UndoFunction("the-rollback", Starting()))
    with gateway(desk) as address:
        announce(address, target_db)
        unknown = hybrid_sync("rollback", "nope")
        assert (unknown.out, unknown.err.partition(". ")[0]) == ("", "hybrid-sync: There is no run nope")
        said = hybrid_sync("rollback", "second")
    assert said.out.startswith("Run second is undone by rollback-second-1: 1 rows put back")


@pytest.mark.usefixtures("stack")
def test_the_outcome_is_there_for_machines_too(hybrid_sync: Command) -> None:
    outcome = json.loads(hybrid_sync("rollback", "second", "--json").out)
    assert outcome["undone"] == {"inserted": 0, "updated": 1, "deleted": 1, "unchanged": 0, "conflicts": {}}

"""A followed run: what is read of it, and what people see."""

from __future__ import annotations

import io
from typing import Any, NoReturn

import psycopg
import pytest
from psycopg.types.json import Jsonb
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from hybrid_sync.contracts import BatchResult
from hybrid_sync.services.messages.runs import Step
from hybrid_sync.services.progress import steps
from hybrid_sync_cli.progress import Bars, Lines, follow, words
from tests.cli.gateway import Desk
from tests.report.records import add_batch, add_entity, add_run


def step(status: str = "planned", planned: int | None = 2, done: int = 0, rows: int = 0) -> Step:
    return Step(entity="payments", title="Payments", status=status, planned=planned, done=done, rows=rows, failed=0)


def test_steps_count_batches_and_rows_in_write_order(desk: Desk, store: psycopg.Connection[Any]) -> None:
    add_run(store, "r1", "running")
    add_entity(store, "r1", "payments", status="planned", wave=1, planned=2)
    add_entity(store, "r1", "offices", status="waiting", planned=None)
    add_batch(store, "r1", "payments", 0, BatchResult(read=60, failed=2), "2026-01-04 01:00:03Z")

    found = [(s.entity, s.status, s.planned, s.done, s.rows, s.failed) for s in steps(desk, store, "r1")]
    assert found == [("offices", "waiting", None, 0, 0, 0), ("payments", "planned", 2, 1, 60, 2)]
    assert steps(desk, store, "unknown") == []


def test_what_a_check_has_compared_is_read_of_its_reconcile(desk: Desk, store: psycopg.Connection[Any]) -> None:
    add_run(store, "r1", "running")
    for entity, reconcile in (
        ("offices", {"done": True, "rows_checked": 12_345, "differing": 0, "healed": 0, "heal_batches": 0}),
        ("payments", {"done": True, "rows_checked": 900, "differing": 3, "healed": 3, "heal_batches": 1}),
        ("people", {"done": False}),
    ):
        add_entity(store, "r1", entity, status="planned")
        store.execute(
            "update hybrid_sync.run_entity set detection = 'none', reconcile = %s where entity = %s",
            (Jsonb(reconcile), entity),
        )
    add_batch(store, "r1", "payments", 0, BatchResult(read=3, updated=3), "2026-01-04 01:00:03Z")
    store.execute(
        "insert into hybrid_sync.reconcile_segment (run_id, entity, n, source, legacy_rows, target_rows, in_flight,"
        " suspected, seconds) values ('r1', 'people', 0, 'person', 250, 250, 0, 0, 1), ('r1', 'people', 1, 'person',"
        " 150, 150, 0, 0, 1)"
    )

    assert {found.entity: words(found) for found in steps(desk, store, "r1")} == {
        "offices": "12,345 rows compared, all equal",
        "payments": "1/1 batches, 3 rows, 900 rows compared, 3 differed and were healed",
        "people": "400 rows compared so far",
    }


def test_a_comparison_says_how_many_rows_differ() -> None:
    def run(differing: int, healed: int, *, reads: bool = False) -> str:
        found = step("verified", 0).model_copy(update={"reads": reads, "compared": 12_345})
        return words(found.model_copy(update={"differing": differing, "healed": healed}))

    assert run(0, 0) == "12,345 rows compared, all equal, verified"
    assert run(3, 0) == "12,345 rows compared, 3 differ, verified"
    assert run(3, 2) == "12,345 rows compared, 1 differs, 2 healed, verified"
    assert run(1, 1) == "12,345 rows compared, 1 differed and was healed, verified"
    assert run(0, 0, reads=True) == "nothing changed, 12,345 rows compared, all equal, verified"


def test_a_check_that_has_not_begun_to_compare_says_so() -> None:
    assert words(step(planned=0).model_copy(update={"reads": False})) == "nothing compared yet"


def test_rows_that_nobody_read_and_that_are_not_as_legacy_has_them_are_told(
    desk: Desk, store: psycopg.Connection[Any]
) -> None:
    """A trigger of the target changed a row while the run wrote another entity: nothing of this one was read."""
    add_run(store, "r1", "running")
    add_entity(store, "r1", "payments", status="verified", planned=0, conservation={"stale": 2, "absent": 1})
    add_entity(store, "r1", "offices", status="verified", planned=0)
    add_entity(store, "r1", "people", status="verified", planned=1, conservation={"stale": 3, "absent": 0})
    add_batch(store, "r1", "people", 0, BatchResult(read=60, failed=2), "2026-01-04 01:00:03Z")
    assert {found.entity: words(found) for found in steps(desk, store, "r1")} == {
        "offices": "nothing changed, verified",
        "payments": "nothing changed in legacy, 3 rows are not as legacy has them, verified",
        "people": "1/1 batches, 60 rows, 2 failed, 3 rows are not as legacy has them, verified",
    }


def test_a_line_is_written_only_when_an_entity_got_further() -> None:
    said: list[str] = []
    lines = Lines(said.append)

    for now in (step("waiting", None), step(), step(done=1, rows=500), step(done=1, rows=500), step("verified", 2, 2)):
        lines.show([now])

    assert said == ["  Payments: 1/2 batches, 500 rows", "  Payments: 2/2 batches, 0 rows, verified"]


def test_an_entity_without_changes_is_told_as_such() -> None:
    assert words(step(planned=0)) == "nothing changed"
    assert words(step("verified", 0)) == "nothing changed, verified"


def test_a_bar_is_full_when_there_is_nothing_to_do() -> None:
    screen = Console(file=io.StringIO(), width=100, force_terminal=True)
    progress = Progress(TextColumn("{task.description}"), BarColumn(), console=screen)
    bars = Bars(progress)

    bars.show([step("waiting", None)])
    bars.show([step(planned=0)])

    (task,) = progress.tasks
    assert (task.description, task.completed, task.total) == ("Payments", 1, 1)


def test_a_bar_follows_the_batches() -> None:
    progress = Progress(console=Console(file=io.StringIO(), force_terminal=True))
    bars = Bars(progress)

    bars.show([step(done=1)])

    (task,) = progress.tasks
    assert (task.completed, task.total) == (1, 2)


def test_an_interrupt_says_that_the_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    class Interrupted:
        def ask(self, *_: object, **__: object) -> NoReturn:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(Interrupted(), "verify-1", quiet=True)  # type: ignore[arg-type]
    assert capsys.readouterr().err == "The run goes on; look at it with: hybrid-sync status verify-1\n"

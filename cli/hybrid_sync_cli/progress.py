"""Follow a run while it works: a bar per entity on a terminal, a line per event elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
from psycopg.rows import class_row
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync_cli.execution import Execution, Standing, standing, target
from hybrid_sync_cli.stack import Stack

PAUSE = 0.5
"""Seconds between two looks: a look costs one small query and one call."""


@dataclass(frozen=True)
class Step:
    """How far one entity of a run is; `planned` is None before its plan."""

    entity: str
    status: str
    planned: int | None
    done: int
    rows: int
    failed: int

    @property
    def words(self) -> str:
        """What it is doing, for people."""
        if self.planned is None:
            return self.status
        if self.planned == 0:
            return "nothing changed" if self.status == "planned" else f"nothing changed, {self.status}"
        bad = f", {self.failed:,} failed" if self.failed else ""
        state = "" if self.status == "planned" else f", {self.status}"
        return f"{self.done}/{self.planned} batches, {self.rows:,} rows{bad}{state}"


def steps(connection: psycopg.Connection[Any], run_id: str) -> list[Step]:
    """Every entity of the run in write order; empty before the run is planned."""
    with connection.cursor(row_factory=class_row(Step)) as cursor:
        return cursor.execute(_STEPS, {"run": run_id}).fetchall()


class Display(Protocol):
    def show(self, now: list[Step]) -> None: ...


class Bars:
    """One bar per entity, redrawn in place."""

    def __init__(self, progress: Progress, titles: Callable[[str], str]) -> None:
        self._progress = progress
        self._titles = titles
        self._tasks: dict[str, TaskID] = {}

    def show(self, now: list[Step]) -> None:
        for step in now:
            if step.entity not in self._tasks:
                self._tasks[step.entity] = self._progress.add_task(
                    self._titles(step.entity), start=False, total=None, words=step.words
                )
            task = self._tasks[step.entity]
            if step.planned is None:
                self._progress.update(task, words=step.words)
                continue
            self._progress.start_task(task)
            # A bar of nothing is a full one: there is no work left.
            self._progress.update(
                task, total=step.planned or 1, completed=step.done if step.planned else 1, words=step.words
            )


class Lines:
    """One line whenever an entity has got further."""

    def __init__(self, titles: Callable[[str], str], write: Callable[[str], None] = print) -> None:
        self._titles = titles
        self._write = write
        self._said: dict[str, str] = {}

    def show(self, now: list[Step]) -> None:
        for step in now:
            begun = step.done > 0 or step.planned == 0 or step.status not in ("waiting", "planned")
            if not begun or self._said.get(step.entity) == step.words:
                continue
            self._said[step.entity] = step.words
            self._write(f"  {self._titles(step.entity)}: {step.words}")


def follow(stack: Stack, execution: Execution, catalog: Catalog, quiet: bool = False) -> Standing:
    """Show the run (unless `quiet`) until the state machine ends it; an interrupt does not stop the run."""

    def title(entity: str) -> str:
        known = catalog.entities.get(entity)
        return known.title if known else entity

    drawing: AbstractContextManager[object] = nullcontext()
    display: Display = Lines(title, write=_nothing if quiet else print)
    if sys.stdout.isatty() and not quiet:
        drawing = progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(24),
            TextColumn("{task.fields[words]}"),
            TimeElapsedColumn(),
        )
        display = Bars(progress, title)
    with target(stack) as connection, drawing:
        while True:
            now = standing(stack, execution)
            display.show(steps(connection, execution.run_id))
            if not now.running:
                return now
            time.sleep(PAUSE)


def _nothing(_: str) -> None:
    return None


_STEPS = """
select e.entity, e.status, e.batches_planned as planned,
       count(b.result)::int as done,
       coalesce(sum((b.result->>'read')::bigint), 0)::bigint as rows,
       coalesce(sum((b.result->>'failed')::bigint), 0)::bigint as failed
from hybrid_sync.run_entity e
left join hybrid_sync.batch_done b on b.run_id = e.run_id and b.entity = e.entity
where e.run_id = %(run)s
group by e.entity, e.status, e.batches_planned, e.wave
order by e.wave, e.entity
"""

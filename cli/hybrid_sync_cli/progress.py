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
from hybrid_sync_cli.execution import Execution, Standing, TargetAway, standing, target
from hybrid_sync_cli.stack import Stack

PAUSE = 0.5
"""Seconds between two looks: a look costs one small query and one call."""


@dataclass(frozen=True)
class Step:
    """How far one entity of a run is; `planned` is None before its plan, `compared` where no reconcile has begun."""

    entity: str
    status: str
    planned: int | None
    done: int
    rows: int
    failed: int
    reads: bool = True
    """False in a check, which reads no changes."""
    compared: int | None = None
    """Rows whose contents were compared on both sides so far."""
    differing: int | None = None
    """Of these, the rows that differed; None before all are compared."""
    healed: int = 0

    @property
    def words(self) -> str:
        """What it is doing, for people."""
        if self.planned is None:
            return self.status
        parts = [part for part in (self._read(), self._contents()) if part]
        if self.status != "planned":
            parts.append(self.status)
        return ", ".join(parts)

    def _read(self) -> str:
        if not self.planned:
            return "nothing changed" if self.reads else ""
        bad = f", {self.failed:,} failed" if self.failed else ""
        return f"{self.done}/{self.planned} batches, {self.rows:,} rows{bad}"

    def _contents(self) -> str:
        if self.compared is None:
            return "" if self.reads else "nothing compared yet"
        text = f"{self.compared:,} rows compared"
        if self.differing is None:
            return f"{text} so far"
        if self.differing == 0:
            return f"{text}, all equal"
        if self.healed == self.differing:
            return f"{text}, {self.healed:,} differed and {'was' if self.healed == 1 else 'were'} healed"
        differ = (
            f"{text}, {self.differing - self.healed:,} {'differs' if self.differing - self.healed == 1 else 'differ'}"
        )
        return f"{differ}, {self.healed:,} healed" if self.healed else differ


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
    with drawing:
        while True:
            try:
                return _followed(stack, execution, display)
            except TargetAway:
                # The run waits for its target with its own patience; whoever watches it waits with it.
                if not (now := standing(stack, execution)).running:
                    return now
                time.sleep(PAUSE)


def _followed(stack: Stack, execution: Execution, display: Display) -> Standing:
    with target(stack) as connection:
        while True:
            now = standing(stack, execution)
            display.show(steps(connection, execution.run_id))
            if not now.running:
                return now
            time.sleep(PAUSE)


def _nothing(_: str) -> None:
    return None


_STEPS = """
select e.entity, e.status, e.batches_planned + coalesce((e.reconcile->>'heal_batches')::int, 0) as planned,
       count(b.result) filter (where b.until is null and b.step = 'batch')::int as done,
       coalesce(sum((b.result->>'read')::bigint), 0)::bigint as rows,
       coalesce(sum((b.result->>'failed')::bigint), 0)::bigint as failed,
       e.detection is distinct from 'none' as reads,
       case when e.reconcile is not null then coalesce((e.reconcile->>'rows_checked')::bigint, (
         select coalesce(sum(s.legacy_rows), 0)::bigint from hybrid_sync.reconcile_segment s
         where s.run_id = e.run_id and s.entity = e.entity)) end as compared,
       (e.reconcile->>'differing')::bigint as differing,
       coalesce((e.reconcile->>'healed')::bigint, 0) as healed
from hybrid_sync.run_entity e
left join hybrid_sync.batch_done b on b.run_id = e.run_id and b.entity = e.entity
where e.run_id = %(run)s
group by e.run_id, e.entity
order by e.wave, e.entity
"""

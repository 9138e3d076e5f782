"""Follow a run while it works: a bar per entity on a terminal, a line per event elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBars

from hybrid_sync.services.messages.runs import Progress, ProgressAsked, Step
from hybrid_sync_cli import screen
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError

PAUSE = 0.5
"""Seconds between two looks: a look costs one call and one small query."""


def words(step: Step) -> str:
    """What it is doing, for people."""
    if step.planned is None:
        return step.status
    parts = [part for part in (_read(step), _contents(step), _missed(step)) if part]
    if step.status != "planned":
        parts.append(step.status)
    return ", ".join(parts)


def _read(step: Step) -> str:
    if not step.planned:
        changed = "nothing changed in legacy" if step.missed else "nothing changed"
        return changed if step.reads else ""
    bad = f", {step.failed:,} failed" if step.failed else ""
    return f"{step.done}/{step.planned} batches, {step.rows:,} rows{bad}"


def _missed(step: Step) -> str:
    if step.missed <= step.failed:
        return ""
    if step.missed == 1:
        return "1 row is not as legacy has it"
    return f"{step.missed:,} rows are not as legacy has them"


def _contents(step: Step) -> str:
    if step.compared is None:
        return "" if step.reads else "nothing compared yet"
    text = f"{step.compared:,} rows compared"
    if step.differing is None:
        return f"{text} so far"
    if step.differing == 0:
        return f"{text}, all equal"
    if step.healed == step.differing:
        return f"{text}, {step.healed:,} differed and {'was' if step.healed == 1 else 'were'} healed"
    differ = f"{text}, {step.differing - step.healed:,} {'differs' if step.differing - step.healed == 1 else 'differ'}"
    return f"{differ}, {step.healed:,} healed" if step.healed else differ


def waiting(now: Progress, said: set[str]) -> Iterator[str]:
    """What it waits for, and who holds that; each thing once, until it is over.  `said` remembers."""
    reasons = {holder.name: f"waits for {holder.in_words}" for holder in now.waits_for}
    reasons |= {now.attempt: now.attempt} if now.attempt else {}
    reasons |= {slowed: f"waits for {slowed}" for slowed in now.slowed}
    if now.why and now.status in ("waiting", "running"):
        reasons[now.why] = f"waiting: {now.why}"
    if now.steps is None:
        reasons["away"] = "waits for the target, which does not answer"
    yield from (sentence for name, sentence in reasons.items() if name not in said)
    said.clear()
    said.update(reasons)


class Display(Protocol):
    def show(self, now: Sequence[Step]) -> None: ...


class Bars:
    """One bar per entity, redrawn in place."""

    def __init__(self, progress: ProgressBars) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, now: Sequence[Step]) -> None:
        for step in now:
            if step.entity not in self._tasks:
                self._tasks[step.entity] = self._progress.add_task(
                    step.title, start=False, total=None, words=words(step)
                )
            task = self._tasks[step.entity]
            if step.planned is None:
                self._progress.update(task, words=words(step))
                continue
            self._progress.start_task(task)
            # A bar of nothing is a full one: there is no work left.
            self._progress.update(
                task, total=step.planned or 1, completed=step.done if step.planned else 1, words=words(step)
            )


class Lines:
    """One line whenever an entity has got further."""

    def __init__(self, write: Callable[[str], None] = print) -> None:
        self._write = write
        self._said: dict[str, str] = {}

    def show(self, now: Sequence[Step]) -> None:
        for step in now:
            begun = step.done > 0 or step.planned == 0 or step.status not in ("waiting", "planned")
            # What is compared meanwhile stands in the line of its end; a check does nothing else.
            further = f"{step.done} {step.planned} {step.status}" if step.reads else words(step)
            if not begun or self._said.get(step.entity) == further:
                continue
            self._said[step.entity] = further
            self._write(f"  {step.title}: {words(step)}")


def follow(deployment: Deployment, run_id: str, quiet: bool = False) -> tuple[str, str]:
    """Show the run (unless `quiet`) until it has ended; the run that answered for it, mostly itself, and how it ended.

    An interrupt does not stop the run, which is said.
    """
    try:
        return _followed(deployment, run_id, quiet)
    except KeyboardInterrupt:
        print(f"The run goes on; look at it with: hybrid-sync status {run_id}", file=sys.stderr)
        raise


def _followed(deployment: Deployment, run_id: str, quiet: bool) -> tuple[str, str]:
    drawing: AbstractContextManager[object] = nullcontext()
    display: Display = Lines(write=_nothing if quiet else print)
    if sys.stdout.isatty() and not quiet:
        # They go when the run has ended: how it ended says what they said.
        drawing = progress = ProgressBars(
            TextColumn("{task.description}"),
            BarColumn(24),
            TextColumn("{task.fields[words]}"),
            TimeElapsedColumn(),
            transient=True,
        )
        display = Bars(progress)
    said: set[str] = set()
    with drawing:
        while True:
            now = deployment.ask("progress", ProgressAsked(run_id=run_id), Progress, patient=True)
            for waits in () if quiet else waiting(now, said):
                print("\n".join(screen.wrapped(waits, screen.width(), "  ")))  # above the bars, which take print alone
            display.show(now.steps or ())
            if now.never_began:
                raise CliError(f"Run {now.run_id} was {now.status} before it had started.")
            if now.status not in ("waiting", "running"):
                return now.run_id, now.status
            time.sleep(PAUSE)


def _nothing(_: str) -> None:
    return None

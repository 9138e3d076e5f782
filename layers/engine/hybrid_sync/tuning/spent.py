"""The times that workers have recorded, as people ask for them: by entity and step, and by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from hybrid_sync.dataclass import dataclass
from hybrid_sync.timing import CONNECT, REFUSED, START, Times

SIDES = ("legacy", "target")
_APART = (START, CONNECT, REFUSED)
"""Parts that the steps have around them, not within."""


@dataclass
class StepTimes:
    """One step of one entity in one run, over all calls of its function: its own time, and each side's waits in it."""

    entity: str
    """Empty for what is about no single one."""
    step: str
    calls: int = 0
    seconds: float = 0.0
    waits: dict[str, Times] = field(default_factory=dict)

    def waited(self, side: str) -> float:
        return seconds(self.waits.get(side))

    def wait(self, side: str, times: Times) -> None:
        before = self.waits.get(side)
        self.waits[side] = times if before is None else before.plus(times)


@dataclass(frozen=True)
class RunTimes:
    """Of one run; `calls` are those of its functions, `apart` what no step does: starts, connects, refusals by side."""

    calls: int
    steps: tuple[StepTimes, ...]
    apart: Mapping[str, Times]

    @property
    def seconds(self) -> float:
        """Of all calls together, without the starts of their workers: calls side by side count each."""
        return sum(step.seconds for step in self.steps)


def seconds(times: Times | None) -> float:
    """The times of a part as seconds; 0 where there are none."""
    return times.micros / 1_000_000 if times else 0.0


def run_times(rows: Iterable[Mapping[str, Any]]) -> RunTimes:
    """From rows of `hybrid_sync.run_usage`: what no part of a function names is the step that is called like it."""
    steps: dict[tuple[str, str], StepTimes] = {}
    apart: dict[str, Times] = {}
    calls = 0
    for row in rows:
        entity, own = row["entity"], step_of(row["function"])
        calls += row["calls"]
        times = {name: Times(*one) for name, one in row["times"].items()}
        left = row["milliseconds"] / 1000
        for name, one in times.items():
            named, _, side = name.partition(" ")
            part, _, about = named.partition("/")
            if part in _APART:
                apart[name] = one if name not in apart else apart[name].plus(one)
                left -= 0 if side else seconds(one)
                continue
            place = about or entity, part or own
            step = steps.setdefault(place, StepTimes(*place))
            if side:
                step.wait(side, one)
            else:
                step.seconds += seconds(one)
                step.calls += one.number
                left -= seconds(one)
        rest = steps.setdefault((entity, own), StepTimes(entity, own))
        rest.seconds += max(left, 0.0)
        rest.calls += row["calls"]
    return RunTimes(calls, tuple(sorted(steps.values(), key=lambda one: -one.seconds)), apart)


def step_of(function: str) -> str:
    """`sync batch` of `hybrid-sync-sync-batch`: behind the stack's name a function is called by two words."""
    return " ".join(function.rsplit("-", 2)[-2:])


def by_entity(times: RunTimes) -> dict[str, list[StepTimes]]:
    found: dict[str, list[StepTimes]] = defaultdict(list)
    for step in times.steps:
        found[step.entity].append(step)
    return found


ROWS = """
select u.entity, u.function, u.calls, u.milliseconds, u.times from hybrid_sync.run_usage u where u.run_id = %(run)s
"""

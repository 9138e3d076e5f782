"""Which fault is armed in which delivery: by a seed, and sooner at failpoints that fire or are passed seldom."""

from __future__ import annotations

import random

from hybrid_sync.failpoints import POINTS, Action, Drop, Exit, Raise, Stall
from tests.faults.pool import Tally

FIRST_LOADS = ("plan_run", "settle_uniques", "link_references", "report_run", "rollback_run")
"""Steps that take tables apart, or make them again."""
ERASING, ERASING_AGAIN = "plan_run that erases", "plan_run that makes its erasure good"
_STALL_SECONDS = 0.25
_BY_LUCK = 0.3
_OF_A_NEW_DAY = 0.75
# How many of a step's deliveries carry a fault: few where a run has many of them, most where the failpoints lie behind
# work that is seldom there.
_SHARES = {
    "sync_keys": 0.6,
    ERASING: 0.7,
    ERASING_AGAIN: 0.5,
    "plan_entity": 0.12,
    "sync_batch": 0.15,
    "verify_entity": 0.12,
    "settle_uniques": 0.6,
    "link_references": 0.9,
    "recheck_entity": 0.9,
    "propagate_deletes": 0.8,
}
_SHARE = 0.35
_AREAS = {
    "sync_keys": ("keys.", "fence.", "batch.", "delete.", "link.", "report."),
    "plan_run": ("fence.", "run."),
    ERASING: tuple(name for name in POINTS if name.startswith("erase.") and name != "erase.caught_up"),
    ERASING_AGAIN: ("erase.caught_up",),
    "plan_entity": ("plan.",),
    "sync_batch": ("batch.",),
    "settle_uniques": ("settle.",),
    "link_references": ("link.",),
    "reconcile_entity": ("reconcile.begun", "reconcile.compared", "reconcile.confirmed", "reconcile.planned"),
    "compare_segment": ("reconcile.compared",),
    "confirm_differences": ("reconcile.confirmed", "reconcile.planned"),
    "recheck_entity": ("reconcile.rechecked", "link."),
    "propagate_deletes": ("delete.",),
    "verify_entity": ("verify.",),
    "report_run": ("report.",),
    "retry_failure": ("retry.", "fence.", "batch."),
}


class FaultPlan:
    """A share of the deliveries carries one armed failpoint.

    `new`: on a day of first loads, and of erasures that the target has not heard of, mostly one of theirs.
    """

    def __init__(self, luck: random.Random, tally: Tally, *, new: bool = False) -> None:
        self._luck = luck
        self._tally = tally
        self._new = new

    def choose(self, step: str) -> dict[str, Action]:
        """What to arm in the next delivery of `step`; usually nothing."""
        if self._new and step in FIRST_LOADS and self._luck.random() < _OF_A_NEW_DAY:
            begins = ("bulk.", "erase.caught_up") if step == "plan_run" else ("bulk.m", "bulk.p", "bulk.t", "bulk.e")
            return self._armed([name for name in POINTS if name.startswith(begins)])
        names = [name for name in POINTS if name.startswith(_AREAS.get(step, ("?",)))]
        if not names or self._luck.random() >= _SHARES.get(step, _SHARE):
            return {}
        if step == "sync_keys" and self._luck.random() < 0.5:
            names = [name for name in names if name.startswith("keys.")]
        return self._armed(names)

    def _armed(self, names: list[str]) -> dict[str, Action]:
        """Mostly the point that was hit least; one that nobody comes to does not keep the others waiting."""
        tally, chosen = self._tally, self._luck.choice(names)
        if self._luck.random() >= _BY_LUCK:
            some = self._luck.sample(names, min(7, len(names)))
            chosen = min(some, key=lambda name: (4 * tally.fired[name] + tally.armed[name], tally.passed[name]))
        tally.armed[chosen] += 1
        return {chosen: self._action()}

    def stall(self, step: str) -> dict[str, Action]:
        """A delivery that is given up on while it is still at work."""
        names = [name for name in POINTS if name.startswith(_AREAS[step])]
        return {self._luck.choice(names): Stall(self._luck.uniform(0.02, _STALL_SECONDS))}

    def _action(self) -> Action:
        kind = self._luck.random()
        if kind < 0.45:
            return Exit()
        if kind < 0.6:
            return Raise()
        if kind < 0.85:
            return Drop(self._luck.choice((None, 0, 1)))
        return Stall(self._luck.uniform(0.01, _STALL_SECONDS))

"""A part is bounded: before each load it is said how long it may take, and what would take too long is not begun."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hybrid_sync_cli.errors import CliError

PER_ROW = 30e-6
"""Seconds that a row takes in a first load, where no earlier measurement says it."""
MADE = 8e-6
"""Seconds to make a row of legacy, and to drop it."""
CARRIED_BY = ("engine", "first")


@dataclass
class Patience:
    """`most` seconds for one part; `per_row` is what a row takes, beside what a run takes whatever it carries."""

    most: float
    per_row: float = PER_ROW
    say: Callable[[str], None] = print
    _began: float = field(default_factory=time.monotonic)
    _seen: tuple[int, float] | None = None

    @property
    def left(self) -> float:
        return self.most - (time.monotonic() - self._began)

    def require(self, what: str, rows: int, *, made: int = 0, slower: float = 1.0) -> None:
        """CliError where so many rows to load, and `made` ones to make before, would take longer than is left."""
        seconds = rows * self.per_row * slower + made * MADE
        self.say(f"{what}: about {seconds:.0f} s, {self.left:.0f} s are left for this part")
        if seconds > self.left:
            raise CliError(
                f"{what} would take about {seconds:.0f} s, and {max(0.0, self.left):.0f} s are left:"
                f" allow more with --minutes, or measure less with --scale."
            )

    def saw(self, rows: int, seconds: float) -> None:
        """A load of so many rows took so long: two of them tell what a row takes."""
        if self._seen is not None and rows > self._seen[0]:
            self.per_row = max((seconds - self._seen[1]) / (rows - self._seen[0]), PER_ROW / 10)
        self._seen = rows, seconds


def per_row(earlier: dict[str, Any]) -> float:
    """What a row took in the last measurement that was written down."""
    name, phase = CARRIED_BY
    try:
        return float(earlier["medians"][name][phase]["wall"]) / int(earlier["rows"])
    except KeyError:
        return PER_ROW

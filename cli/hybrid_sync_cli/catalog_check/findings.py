"""What a check has found: mistakes, and what it could not judge."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """One sentence about one place, `file:line`."""

    place: str
    text: str
    doubtful: bool = False
    """The check cannot decide it; PostgreSQL can."""

    def __str__(self) -> str:
        return f"{self.place}: {'(not judged) ' if self.doubtful else ''}{self.text}"

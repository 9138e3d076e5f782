"""A row that fails, from the first look at it to its record in quarantine: one shape, whoever finds it."""

from __future__ import annotations

from typing import Any

from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass


@dataclass(frozen=True)
class FailedRow:
    """What could not be written, and why; never a value of it."""

    key: Key
    reason: str
    column: str | None = None
    sqlstate: str | None = None
    constraint: str | None = None
    waits_for: dict[str, Any] | None = None
    present: bool = False
    rows: int = 1
    """How many rows of legacy it stands for: those that share the key; all without a key under the empty key."""
    version: str | None = None
    """Which version of the row it was; None where nobody has looked."""

"""What the gate asks of the state machine."""

from __future__ import annotations

from typing import Protocol

from hybrid_sync.admission.startable import Startable


class Executions(Protocol):
    """Executions of the state machine, by name."""

    def begin(self, request: Startable, name: str) -> None:
        """Start it, or find that it exists or has existed.

        A SyncError that is not transient says that it was refused for certain; one that is, says nothing.
        """
        ...

    def stop(self, name: str) -> bool:
        """Stop it if it runs; False where there is none of this name."""
        ...

    def status(self, name: str) -> str | None:
        """running, succeeded, failed, cancelled or lost; None where it is not known."""
        ...

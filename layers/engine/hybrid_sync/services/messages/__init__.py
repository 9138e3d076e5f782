"""Requests and answers of the services: messages only, so that a client imports no service and no driver."""

from __future__ import annotations

from hybrid_sync.contracts import Message

PAGE_ROWS = 2_000
"""Rows of a list in one answer: some 600 bytes each, and Lambda lets 6 MB pass."""


class Asked(Message):
    """The body of a command."""

    @property
    def goes_on(self) -> bool:
        """It is a further call of one command, which the audit trail has already."""
        return False

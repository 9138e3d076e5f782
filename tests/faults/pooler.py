"""A pooler in miniature: sessions outlive the step that used them, so nothing of a step may live in its session."""

from __future__ import annotations

from types import TracebackType

from psycopg.pq import TransactionStatus

from hybrid_sync.blame import LegacyCursor, Side, TargetCursor
from hybrid_sync.session import Session

_kept: dict[str, list[PooledConnection]] = {}


class PooledConnection(Session):
    """A connection that goes back to the pool at the end of its `with`, unless it is broken or in a transaction.

    One whose server or wire has gone meanwhile is handed out all the same, as poolers do.
    """

    home = ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.closed and self.info.transaction_status is TransactionStatus.IDLE:
            _kept.setdefault(self.home, []).append(self)
        else:
            self.close()


def pooled(dsn: str, side: Side) -> PooledConnection:
    """A kept session of this process or a new one, configured as the engine configures its own."""
    kept = _kept.get(dsn)
    if kept:
        return kept.pop()
    fresh = PooledConnection.connect(
        dsn,
        autocommit=True,
        prepare_threshold=None,
        client_encoding="UTF8",
        application_name="hybrid-sync",
        cursor_factory=LegacyCursor if side == "legacy" else TargetCursor,
    )
    fresh.home = dsn
    return fresh

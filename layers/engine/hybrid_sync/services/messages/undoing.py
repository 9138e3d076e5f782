"""A run undone, and what that would take back."""

from __future__ import annotations

from hybrid_sync.contracts import Message
from hybrid_sync.services.messages import Asked


class RollbackAsked(Asked):
    """`rollback_id` goes on with one that has begun."""

    run_id: str
    rollback_id: str = ""
    out_of_order: bool = False

    @property
    def goes_on(self) -> bool:
        return bool(self.rollback_id)


class WrittenRows(Message):
    """What a run wrote of one entity, which a rollback would take back: in rows, as far as nobody has changed them."""

    entity: str
    inserted: int
    updated: int
    linked: int
    deleted: int


class RollbackPreview(Message):
    """What a rollback would take back now; `why` says why it would be refused.  `under_way` is one that has begun."""

    run_id: str
    possible: bool
    why: str
    under_way: str
    entities: tuple[WrittenRows, ...]
    lost: tuple[str, ...] = ()
    """Of these entities the catalog no longer has all that the run wrote to: they would be held, and not undone."""

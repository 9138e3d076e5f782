"""What the catalog tolerates of an entity's failures, and whether there are more."""

from __future__ import annotations

from hybrid_sync.catalog.models import Entity, Tolerance
from hybrid_sync.recorded.conservation import Conservation
from hybrid_sync.report.words import n_of, percent


def tolerance_of(entity: Entity | None, reason: str) -> Tolerance | None:
    """What is written for the reason; None where nothing is, and then nothing is tolerated."""
    return next((t for t in entity.tolerate if t.reason == reason), None) if entity else None


def is_beyond(tolerance: Tolerance | None, open_rows: int, where: Conservation | None) -> bool:
    """Whether more of the entity's rows fail for this reason than the catalog tolerates; accepted ones are not open."""
    if not open_rows or where is None:
        return False  # of an entity that was not verified nobody knows the share, and its run has failed anyway
    if not where.not_current and not where.in_flight:
        return False  # everything that legacy still has is current: what waits is gone from legacy
    if tolerance is None:
        return True
    return not tolerance.allows(open_rows, where.legacy)


def in_words(tolerance: Tolerance | None) -> str:
    """`2.50 % of its rows`, `3 rows`, or both."""
    if tolerance is None:
        return ""
    share = f"{percent(tolerance.share)} of its rows" if tolerance.share is not None else ""
    rows = n_of(tolerance.rows, "row") if tolerance.rows is not None else ""
    return " or ".join(part for part in (share, rows) if part)

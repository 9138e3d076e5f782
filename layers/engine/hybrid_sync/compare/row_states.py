"""The state of a legacy row as a comparison finds it; each row is in exactly one, in rows and in money."""

from __future__ import annotations

from enum import StrEnum


class RowState(StrEnum):
    """The terms of conservation, and for rows of the target also `gone`."""

    current = "current"
    """In the target, and nothing is known against it."""
    stale = "stale"
    """A failed record; an older version is in the target."""
    absent = "absent"
    """A failed record, and not in the target; rows without a complete key among them."""
    excluded = "excluded"
    """Left out by a rule of the catalog."""
    in_flight = "in_flight"
    """Changed after what was carried over: the next run brings it."""
    missing = "missing"
    """Not in the target, and nobody knows why: it fails the entity."""
    gone = "gone"
    """In the target, and no longer in legacy."""

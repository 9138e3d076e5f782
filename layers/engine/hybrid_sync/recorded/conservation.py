"""Where every row of an entity is, as its verification counts and records it."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from hybrid_sync.contracts import Key
from hybrid_sync.recorded.part import Recorded


class Conservation(Recorded, frozen=False):
    """In rows of legacy: legacy = current + stale + absent + excluded + in_flight + missing.

    Rows that share a key, or have an incomplete one, count each.
    """

    legacy: int
    current: int
    """In the target as legacy has them: equal keys, and no open failed record."""
    stale: int
    """In the target in an older version, with a failed record."""
    absent: int
    """Not in the target, with a failed record."""
    excluded: int
    """Left out by a rule of the catalog, or because they are of people who were erased."""
    in_flight: int
    """Changed in legacy while the run was at work; the next run reads them."""
    missing: int
    """Nobody knows why; one of them fails the entity."""
    target: int
    """Live rows of the target that are ours."""
    native: int
    tombstones: int = 0
    """Rows that are marked as deleted in the target, not among `target`."""
    pending_deletes: int
    null_keys: int = 0
    """Of the absent, rows without a complete legacy key."""
    doubled: int = 0
    """Of the stale and absent, rows that share their key with another row."""
    erased: int = 0
    """Of the excluded, rows of people who were erased."""
    missing_keys: tuple[Key, ...] = ()
    """The first of the missing, by legacy key; the same below."""
    failed_keys: tuple[Key, ...] = ()
    gone_keys: tuple[Key, ...] = ()
    """Of rows that are pending deletes."""
    ok: bool
    """What `adds_up` was when it was recorded."""

    @classmethod
    def nothing(cls) -> Conservation:
        """Zero rows of everything, to which the parts of a count are added."""
        return cls(**dict.fromkeys(COUNTS, 0), ok=True)

    @property
    def adds_up(self) -> bool:
        """Every legacy row is in the target, in quarantine, excluded by a rule, or on its way."""
        parts = self.current + self.stale + self.absent + self.excluded + self.in_flight + self.missing
        return self.missing == 0 and self.legacy == parts

    def as_json(self) -> dict[str, Any]:
        return {**super().as_json(), "ok": self.adds_up}

    @model_validator(mode="before")
    @classmethod
    def _of_an_older_release(cls, value: Any) -> Any:
        """Records of before said `migrated`, stale rows among them."""
        if not isinstance(value, dict) or "current" in value or "migrated" not in value:
            return value
        stale = int(value["failed_present"])
        return {**value, "current": int(value["migrated"]) - stale, "stale": stale, "absent": value["failed_absent"]}

    @property
    def due(self) -> int:
        """Rows that ought to be in the target: all but those that a rule excludes."""
        return self.legacy - self.excluded

    @property
    def not_current(self) -> int:
        """Rows that have a failed record, and are not in the target as legacy has them."""
        return self.stale + self.absent

    @property
    def agrees(self) -> bool:
        """Every row is accounted for, and nothing is stale or absent."""
        return self.ok and not self.not_current

    @property
    def success_rate(self) -> float | None:
        """Current over due, 0 to 1; None where nothing is due, for all of nothing is no success."""
        return self.current / self.due if self.due > 0 else None


def over_all(parts: tuple[Conservation, ...]) -> Conservation | None:
    """The sum over entities; None of none."""
    if not parts:
        return None
    sums = {name: sum(int(getattr(part, name)) for part in parts) for name in COUNTS}
    return Conservation(**sums, ok=all(part.ok for part in parts))


COUNTS = tuple(name for name, field in Conservation.model_fields.items() if field.annotation is int)
"""The names of its numbers."""

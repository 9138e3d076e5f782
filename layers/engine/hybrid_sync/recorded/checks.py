"""What verification, the reconcile and the delete step record of an entity besides: rows, keys and names of columns."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hybrid_sync.contracts import Key
from hybrid_sync.recorded.part import Recorded


class ReferenceLine(Recorded, frozen=False):
    """One reference column of an entity, in rows."""

    column: str
    parents: tuple[str, ...] = ()
    """The entities that it may point to."""
    carried: int = 0
    """Live rows of the target that have it."""
    without: int = 0
    """Settled rows of legacy that refer to nothing."""
    waiting: int = 0
    """Live rows of the target whose parent is not there yet: a pending link."""
    left_empty: int = 0
    """Rows that go without a parent which is not there, as the catalog says; linked when it arrives."""
    dangling: int = 0
    """Rows that have it, and no parent row stands behind it; one of them fails the entity."""
    lost: int = 0
    """Rows that refer to something in legacy and to nothing in the target, though they do not wait; the same."""
    dangling_keys: list[str] = Field(default_factory=list)
    """The first of them, as source:key; the same below."""
    lost_keys: list[str] = Field(default_factory=list)
    ok: bool = True
    """What `sound` was when it was recorded."""

    @property
    def sound(self) -> bool:
        return self.dangling == 0 and self.lost == 0

    def as_json(self) -> dict[str, Any]:
        return {**super().as_json(), "ok": self.sound}


class ShownDifference(Recorded):
    """One row that differed: its key, what differed, who changed it, and what became of it."""

    source: str
    key: Key
    kind: str
    columns: tuple[str, ...] = ()
    origin: str | None = None
    state: str


class Reconcile(Recorded):
    """What a comparison of all mapped contents found, in rows; unfinished unless `done`."""

    done: bool = False
    segments: int = 0
    rows_checked: int = 0
    in_flight: int = 0
    suspected: int = 0
    heal_batches: int = 0
    compare_seconds: str = "0"
    differing: int = 0
    healed: int = 0
    persisted: int = 0
    """Differences from legacy that are still there; they keep the entity's fence where it was."""
    drift: int = 0
    """Differences that were made in the target."""
    both_changed: int = 0
    """Of the drift, rows that legacy has changed too."""
    left_alone: int = 0
    """Of the drift, what nobody asked to repair."""
    money_left: int = 0
    """Of these, rows of which an amount, its currency or its status differs; one of them fails the entity, also where
    no sum shows it because another one makes up for it."""
    fence_missed: int = 0
    """Differences that the fence should have found."""
    silent: int = 0
    """Differences that no fence can find."""
    wrong_ids: int = 0
    """Entries of the id map's cache that were not the target's."""
    gone: int = 0
    """Rows that legacy no longer has, handed to the delete step; so are those below."""
    excluded_present: int = 0
    shown: tuple[ShownDifference, ...] = ()


IGNORED = "ignored"
"""A row stays because its entity's policy is to ignore deletes."""
NATIVE, MANAGED = "native_children", "still_referred"
"""It stays because something refers to it: a row born in the target, or one of ours that is still there."""


class Deletes(Recorded):
    """What became of rows that legacy no longer has, or excludes by now."""

    done: bool = False
    candidates: int = 0
    deleted: int = 0
    soft: int = 0
    """Marked as deleted, by the entity's policy."""
    back: int = 0
    """Back in legacy when it was looked at again under the lock."""
    undeleted: int = 0
    """Marked earlier, and brought back by this run because their key returned."""
    refused: dict[str, int] = Field(default_factory=dict)
    """Rows that were kept, by why: the policy, rows that refer to them, a constraint."""
    guarded: int = 0
    """Left as they are because they are too many to go without a person's word."""

    @property
    def gone(self) -> int:
        """Rows that this run has taken out of use, deleted or marked."""
        return self.deleted + self.soft

    @property
    def kept(self) -> int:
        return sum(self.refused.values())

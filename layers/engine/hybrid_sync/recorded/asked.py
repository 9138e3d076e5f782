"""The result of each row that a request names; also of a row that neither side has."""

from __future__ import annotations

from hybrid_sync.contracts import Key
from hybrid_sync.recorded.part import Recorded

WORDS = {
    "current": "in the target as legacy has it",
    "in_flight": "changed again while the run was at work; the next run reads it",
    "stale": "in the target in an older version",
    "absent": "not in the target",
    "excluded": "left out by a rule of the catalog",
    "deleted": "deleted in legacy, and in the target by its policy",
    "kept": "deleted in legacy; the target keeps it",
    "missing": "in legacy, and nobody knows why not in the target",
    "not_found": "not found: neither legacy nor the target has such a row",
    "unverified": "not verified",
}


class AskedRow(Recorded):
    """One row by its legacy key."""

    entity: str
    source: str
    key: Key
    state: str
    """One of WORDS."""
    reason: str | None = None
    """Of its failed record."""
    ok: bool
    """Current, or not there by a rule or policy."""

    @property
    def ref(self) -> str:
        """`payments/dispatch_payment:17229`, as `hybrid-sync sync --ref` takes it."""
        return f"{self.entity}/{self.source}:{','.join(map(str, self.key))}"

    @property
    def in_words(self) -> str:
        """`not in the target (check_violation)`."""
        word = WORDS.get(self.state, self.state)
        return f"{word} ({self.reason})" if self.reason else word

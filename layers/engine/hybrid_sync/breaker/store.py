"""The breakers in the control table: one item with a part for each database, so that one read shows both.

Rivals for one probe are one and others.  The table may be away itself; then nobody is kept from anything, since a
breaker only spares what would fail anyhow.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import TypeAdapter

from hybrid_sync.aws import Client
from hybrid_sync.breaker.item import ControlItem
from hybrid_sync.breaker.state import SIDES, Breaker
from hybrid_sync.errors import Side

Both = dict[Side, Breaker]
_BOTH: TypeAdapter[Both] = TypeAdapter(Both)


class BreakerStore:
    """The item `breakers`."""

    def __init__(self, table: str, client: Client) -> None:
        self._item = ControlItem(table, client, "breakers", _BOTH, {side: Breaker() for side in SIDES})

    def read(self) -> Both:
        """As they were a moment ago."""
        return self._item.read()

    def change(self, side: Side, rule: Callable[[Breaker], Breaker]) -> tuple[Both, bool]:
        """Both of them once a rule has been applied to one as it is now, and whether that has changed it."""
        return self._item.change(lambda both: {**both, side: rule(both[side])})

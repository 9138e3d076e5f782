"""What a month, an entity or a run has cost, as it is answered."""

from __future__ import annotations

from datetime import date, datetime

from hybrid_sync.contracts import Message


class ItemCost(Message):
    item: str
    quantity: float
    dollars: float


class EntityCost(Message):
    """What an entity's share of runs of one profile has used; `entity` is empty for what is no single one's."""

    entity: str
    profile: str
    runs: int
    calls: int
    seconds: float
    dollars: float


class Cost(Message):
    """By list prices of `region` on `as_of`, in dollars; a run has no parts and no forecast."""

    region: str
    as_of: date
    since: datetime
    items: tuple[ItemCost, ...]
    parts: dict[str, float]
    entities: tuple[EntityCost, ...]
    dollars: float
    forecast: float | None = None

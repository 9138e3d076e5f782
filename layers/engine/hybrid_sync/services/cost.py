"""What the deployment costs: this month so far and to its end, by entity, or one run; priced from what was counted."""

from __future__ import annotations

from datetime import date, datetime

from hybrid_sync.contracts import Message
from hybrid_sync.services.desk import Asked, Desk


class CostAsked(Asked):
    """This month's, or that of one run."""

    run_id: str | None = None


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


def cost(desk: Desk, asked: CostAsked, _: str) -> Cost:
    """RunNotFound."""
    from hybrid_sync.services import priced  # with all that prices, which no other command needs

    return priced.of_run(desk, asked.run_id) if asked.run_id else priced.month_to_date(desk)

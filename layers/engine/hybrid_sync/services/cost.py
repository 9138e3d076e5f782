"""What the deployment costs: this month so far and to its end, by entity, or one run; priced from what was counted."""

from __future__ import annotations

from hybrid_sync.cost.answer import Cost
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.messages.measures import CostAsked


def cost(desk: Desk, asked: CostAsked, _: str) -> Cost:
    """What a run has cost, or this month so far with a forecast; RunNotFound."""
    from hybrid_sync.services import priced  # with all that prices, which no other command needs

    return priced.of_run(desk, asked.run_id) if asked.run_id else priced.month_to_date(desk)

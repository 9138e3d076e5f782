"""Which indexes would spare both databases work, with what the planner says today."""

from __future__ import annotations

from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages.measures import AdviceAsked
from hybrid_sync.tuning.model import Advice, AdviceAnswer


def advise(desk: Desk, asked: AdviceAsked, _: str) -> AdviceAnswer:
    """By EXPLAIN, without running anything; EntityNotFound's sentence where the catalog has none of a name."""
    from hybrid_sync.tuning.advice import of_legacy, of_target
    from hybrid_sync.tuning.explained import plans_of

    names = [desk.catalog[name].entity for name in asked.entities] or sorted(desk.catalog.entities)
    with desk.connect_legacy() as legacy, desk.connect_target() as target:
        plans, skipped = plans_of(desk.catalog, names, legacy, target)
        found, explained = of_legacy(desk.catalog, plans, legacy)
    with at_target(desk) as target:
        more, lookups = of_target(desk.catalog, target)
    wanted = [*found, *(one for one in more if one.entity in names)]
    ordered: list[Advice] = sorted(wanted, key=lambda one: (-one.cost, one.ddl))
    return AdviceAnswer(advice=tuple(ordered), explained=explained + lookups, skipped=tuple(skipped))

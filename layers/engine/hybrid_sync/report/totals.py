"""What runs came to, for lists of runs: from the same records, and by the same rules, as a run's own report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from psycopg import sql

from hybrid_sync.dataclass import dataclass
from hybrid_sync.recorded.checks import Reconcile, ReferenceLine
from hybrid_sync.recorded.conservation import Conservation, over_all
from hybrid_sync.recorded.money import MoneyLine
from hybrid_sync.report.standing import Sum, entity_sum, run_sum


@dataclass(frozen=True)
class Totals:
    """One run: whether it adds up, and where the rows of its verified entities are."""

    adds_up: Sum
    rows: Conservation | None


def totals(status: str, profile: str, entities: Iterable[Mapping[str, Any]]) -> Totals:
    """Of a run with this status, as shown; `entities` are its `ENTITIES`.

    An undone run has no sum any more, and a rollback verifies nothing that could have one.
    """
    sums: list[Sum] = []
    rows: list[Conservation] = []
    for entity in entities:
        found = Conservation.model_validate(entity["conservation"]) if entity["conservation"] else None
        sums.append(
            entity_sum(
                found,
                [MoneyLine.model_validate(line) for line in entity["money"] or ()],
                [ReferenceLine.model_validate(line) for line in entity["reference_counts"] or ()],
                Reconcile.model_validate(entity["reconcile"]) if entity["reconcile"] else None,
            )
        )
        rows += [found] if found is not None else []
    unknown = status == "rolled_back" or profile == "rollback"
    adds_up = Sum.unknown if unknown else run_sum(sums, ended=status != "running")
    return Totals(adds_up, over_all(tuple(rows)))


ENTITIES = sql.SQL("""
(select coalesce(jsonb_agg(jsonb_build_object(
   'entity', e.entity, 'conservation', e.conservation,
   'money', case when e.detection = 'keys' then null else e.money end,
   'reference_counts', to_jsonb(e)->'reference_counts', 'reconcile', to_jsonb(e)->'reconcile')), '[]')
 from hybrid_sync.run_entity e where e.run_id = r.run_id)
""")
"""What `totals` needs of the entities of the run `r`, as JSON."""

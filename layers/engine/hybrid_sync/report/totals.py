"""What runs came to, for lists of runs: from the same records, and by the same rules, as a run's own report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from hybrid_sync.report.checks import Reconcile, ReferenceLine
from hybrid_sync.report.conservation import Conservation, over_all
from hybrid_sync.report.money_lines import MoneyLine
from hybrid_sync.report.standing import Sum, entity_sum, run_sum

Cursor = psycopg.Cursor[dict[str, Any]]

# A run that was undone, or is being undone, has that status and no other. Asked by name in JSON, so that a
# report can be made of a target that lacks the column.
UNDONE_BY = sql.SQL("""
coalesce(to_jsonb(r)->>'undone_by', (select u.run_id from hybrid_sync.run u
  where to_jsonb(u)->>'undoes' = r.run_id and u.status = 'running' limit 1))
""")
STATUS = sql.SQL("case when {} is not null then 'rolled_back' else r.status end").format(UNDONE_BY)


@dataclass(frozen=True)
class Totals:
    """One run: whether it adds up, and where the rows of its verified entities are."""

    adds_up: Sum
    rows: Conservation | None


def totals(cursor: Cursor, runs: Sequence[tuple[str, str]]) -> dict[str, Totals]:
    """By run id; `runs` are (run_id, status), as shown."""
    sums: dict[str, list[Sum]] = defaultdict(list)
    rows: dict[str, list[Conservation]] = defaultdict(list)
    for row in cursor.execute(_ENTITIES, {"runs": [run_id for run_id, _ in runs]}):
        found = Conservation.model_validate(row["conservation"]) if row["conservation"] else None
        sums[row["run_id"]].append(
            entity_sum(
                found,
                [MoneyLine.model_validate(line) for line in row["money"] or ()],
                [ReferenceLine.model_validate(line) for line in row["reference_counts"] or ()],
                Reconcile.model_validate(row["reconcile"]) if row["reconcile"] else None,
            )
        )
        if found is not None:
            rows[row["run_id"]].append(found)
    return {
        run_id: Totals(
            Sum.unknown if status == "rolled_back" else run_sum(sums[run_id], ended=status != "running"),
            over_all(tuple(rows[run_id])),
        )
        for run_id, status in runs
    }


_ENTITIES = """
select e.run_id, e.conservation, case when e.detection = 'keys' then null else e.money end as money,
       to_jsonb(e)->'reference_counts' as reference_counts, to_jsonb(e)->'reconcile' as reconcile
from hybrid_sync.run_entity e where e.run_id = any(%(runs)s)
"""

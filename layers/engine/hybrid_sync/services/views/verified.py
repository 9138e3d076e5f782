"""What was last verified of each entity: its rows, its money, how fresh it is, and how it failed since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.dataclass import dataclass
from hybrid_sync.recorded.checks import Reconcile, ReferenceLine
from hybrid_sync.recorded.conservation import Conservation, over_all
from hybrid_sync.recorded.money import MoneyLine, over_statuses
from hybrid_sync.recorded.part import total
from hybrid_sync.report.standing import Sum, entity_sum, run_sum
from hybrid_sync.services.views.model import Money, Rows
from hybrid_sync.session import Question, dicts


@dataclass(frozen=True)
class Verified:
    """One entity as the last run that went through the whole of it has found it."""

    entity: str
    run_id: str
    at: datetime
    conservation: Conservation
    headline: tuple[MoneyLine, ...]
    """The column that stands for its money, by currency."""
    adds_up: Sum
    money: tuple[MoneyLine, ...] = ()


def ask_verified(entity: str | None = None) -> Question[list[dict[str, Any]]]:
    """Of every entity, or of one."""
    return dicts(_VERIFIED, {"entity": entity})


def verified(rows: Iterable[dict[str, Any]], catalog: Catalog) -> dict[str, Verified]:
    """By entity; those that have left the catalog are left out."""
    return {row["entity"]: _one(row, catalog) for row in rows if row["entity"] in catalog.entities}


def _one(row: dict[str, Any], catalog: Catalog) -> Verified:
    where = Conservation.model_validate(row["conservation"])
    lines = tuple(map(MoneyLine.model_validate, row["money"] or ()))
    references = tuple(map(ReferenceLine.model_validate, row["reference_counts"] or ()))
    reconcile = Reconcile.model_validate(row["reconcile"]) if row["reconcile"] else None
    headline = next((m.column for m in catalog[row["entity"]].money if m.headline), None)
    return Verified(
        row["entity"], row["run_id"], row["at"], where,
        over_statuses(line for line in lines if line.column == headline),
        entity_sum(where, lines, references, reconcile), lines,
    )  # fmt: skip


def rows_of(found: Sequence[Verified], catalog: Catalog) -> Rows | None:
    """Over all of them; None before any was verified."""
    whole = over_all(tuple(one.conservation for one in found))
    if whole is None:
        return None
    return Rows(
        current=whole.current, due=whole.due, stale=whole.stale, absent=whole.absent, entities=len(found),
        known=len(catalog.entities), adds_up=run_sum((one.adds_up for one in found), ended=True),
    )  # fmt: skip


def money_of(lines: Iterable[MoneyLine]) -> tuple[Money, ...]:
    """By currency, over the columns given."""
    grouped: dict[str, list[MoneyLine]] = defaultdict(list)
    for line in lines:
        grouped[line.currency].append(line)
    return tuple(
        Money(
            currency=currency, equal=all(line.equal for line in group),
            **{name: total(getattr(line, name) for line in group) for name in ("legacy", "current", "stale", "absent")},
        )
        for currency, group in sorted(grouped.items())
    )  # fmt: skip


def ask_fresh() -> Question[list[dict[str, Any]]]:
    """Until when each entity is complete."""
    return dicts(
        "select entity, (fence->>'taken_at')::timestamptz as complete_until from hybrid_sync.fence"
        " where fence is not null order by complete_until, entity",
        None,
    )


def ask_last() -> Question[list[dict[str, Any]]]:
    """How each entity came out of the last run that took the whole of it, where that has ended."""
    return dicts(_LAST, None)


_WHOLE = sql.SQL("e.detection is distinct from 'keys' and e.detection is distinct from 'range'")
"""Runs that take the whole of an entity; of others nothing follows for the rest."""
_VERIFIED = sql.SQL("""
select distinct on (e.entity) e.entity, e.run_id, coalesce(e.finished_at, r.finished_at, r.started_at) as at,
       e.conservation, e.money, e.reference_counts, e.reconcile
from hybrid_sync.run_entity e join hybrid_sync.run r on r.run_id = e.run_id
where e.status = 'verified' and e.conservation is not null and r.undone_by is null and {whole}
  and (%(entity)s::text is null or e.entity = %(entity)s::text)
order by e.entity, r.started_at desc
""").format(whole=_WHOLE)
_LAST = sql.SQL("""
select distinct on (e.entity) e.entity, e.run_id, r.profile, e.status, e.failure, r.finished_at,
       coalesce((e.deletes->>'guarded')::bigint, 0) as guarded
from hybrid_sync.run_entity e join hybrid_sync.run r on r.run_id = e.run_id
where r.status not in ('running', 'cancelled') and r.trigger <> 'retry' and r.undoes is null and r.undone_by is null
  and {whole}
order by e.entity, r.started_at desc
""").format(whole=_WHOLE)

"""What a rollback did, per component, and which rows it left alone: counts, keys and reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from hybrid_sync.postgres import Question
from hybrid_sync.report.model import LeftAlone, Rollback, UndoneEntity
from hybrid_sync.undo.end import undone

if TYPE_CHECKING:
    from hybrid_sync.catalog.catalog import Catalog

SHOWN = 20


def ask_undoes(run_id: str) -> Question[str | None]:
    """Which run this one undoes; None for a run that is no rollback."""
    # By name in JSON, so that a report can be made of a target that lacks the column.
    query = sql.SQL("select to_jsonb(r)->>'undoes' from hybrid_sync.run r where run_id = {}").format(
        sql.Literal(run_id)
    )
    return Question(query, None, lambda found: next((row[0] for row in found.fetchall()), None))


def rollback_of(target: psycopg.Connection[Any], run_id: str, undoes: str | None, catalog: Catalog) -> Rollback | None:
    """What the run undid so far; None for a run that is no rollback."""
    if undoes is None:
        return None
    names = target.execute(
        "select entity from hybrid_sync.run_entity where run_id = %s order by wave desc, entity", (run_id,)
    ).fetchall()
    conflicts = target.execute(_CONFLICTS, {"run": run_id, "shown": SHOWN}).fetchall()
    return Rollback(
        undoes=undoes,
        entities=tuple(_entity(target, run_id, name, catalog) for (name,) in names),
        conflicts=tuple(
            LeftAlone(entity=entity, reason=reason, by_run=by_run, records=records, keys=tuple(keys))
            for entity, reason, by_run, records, keys in conflicts
        ),
    )


def _entity(target: psycopg.Connection[Any], run_id: str, name: str, catalog: Catalog) -> UndoneEntity:
    known = catalog.entities.get(name)
    return UndoneEntity(
        entity=name, title=known.title if known else name, **undone(target, run_id, name).model_dump()
    )  # fmt: skip


_CONFLICTS = """
select entity, reason, by_run, count(*),
       (array_agg(source || ':' || array_to_string(key, ',') order by source, key))[:%(shown)s]
from hybrid_sync.rollback_conflict where run_id = %(run)s
group by entity, reason, by_run order by entity, reason, by_run
"""

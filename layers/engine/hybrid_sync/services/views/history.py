"""Runs that have ended: twelve weeks in a strip, and the last ones in rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.recorded.money import MoneyLine, over_statuses
from hybrid_sync.report.scope import named
from hybrid_sync.report.totals import ENTITIES, totals
from hybrid_sync.report.words import run_title
from hybrid_sync.runs.ended import STATUS, UNDONE_BY
from hybrid_sync.services.views.model import RunLine, RunMark, Week
from hybrid_sync.services.views.verified import money_of
from hybrid_sync.session import Question, dicts

WEEKS = 12
LISTED = 12
_BEST = ("succeeded", "degraded", "running", "rolled_back", "failed", "cancelled", "lost")


def ask_runs(entity: str | None = None) -> Question[list[dict[str, Any]]]:
    """The last runs that have ended, newest first, of all entities or with one of them; retries of the failure queue
    are none of them."""
    return dicts(_RUNS, {"limit": LISTED, "entity": entity})


def run_lines(rows: Sequence[dict[str, Any]], catalog: Catalog) -> tuple[RunLine, ...]:
    """As rows of a list."""
    return tuple(_line(row, catalog) for row in rows)


def _line(row: dict[str, Any], catalog: Catalog) -> RunLine:
    came_to = totals(row["status"], row["profile"], row["entities"])
    lines = [
        line
        for entity in row["entities"]
        for line in over_statuses(map(MoneyLine.model_validate, entity["money"] or ()))
        if line.column == _headline(entity["entity"], catalog)
    ]
    names = ("run_id", "status", "started_at", "seconds", "read", "new", "changed", "deleted", "failed", "undone_by")
    return RunLine(
        **{name: row[name] for name in names}, new_failures=row["new_failures"], title=title_of(row),
        part=named(row["request"]), adds_up=came_to.adds_up, money=money_of(lines),
    )  # fmt: skip


def _headline(entity: str, catalog: Catalog) -> str | None:
    known = catalog.entities.get(entity)
    return next((m.column for m in known.money if m.headline), None) if known else None


def title_of(row: dict[str, Any]) -> str:
    """`Weekly sync`; of a run of the failure queue or of a rollback, what that is."""
    if row["profile"] == "rollback":
        return "Rollback"
    return "Retry" if row.get("trigger") == "retry" else run_title(row["profile"])


def ask_last_run() -> Question[list[dict[str, Any]]]:
    """The last scheduled run that has ended."""
    return dicts(_LAST_RUN, None)


def last_run(rows: Sequence[dict[str, Any]]) -> RunMark | None:
    return next((RunMark(run_id=r["run_id"], title=title_of(r), status=r["status"], at=r["at"]) for r in rows), None)


def ask_weeks(entity: str | None = None) -> Question[list[dict[str, Any]]]:
    """Weekly runs of the last twelve weeks: all of each, or one entity's part."""
    return dicts(_WEEKLY, {"weeks": WEEKS, "entity": entity})


def weeks(rows: Sequence[dict[str, Any]], now: datetime) -> tuple[Week, ...]:
    """Twelve weeks, the current one last; each is as good as the best of its runs."""
    monday = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=now.weekday())
    strip: list[Week] = []
    for back in range(WEEKS - 1, -1, -1):
        begins = monday - timedelta(weeks=back)
        of_it = [row for row in rows if begins <= row["started_at"] < begins + timedelta(weeks=1)]
        strip.append(_week(begins, of_it))
    return tuple(strip)


def _week(begins: datetime, rows: list[dict[str, Any]]) -> Week:
    if not rows:
        return Week(begins=begins, status="", runs=0)
    best = min(rows, key=lambda row: (_BEST.index(row["status"]), -row["started_at"].timestamp()))
    came_to = totals(best["status"], "weekly", best["entities"])
    return Week(
        begins=begins, status=best["status"], runs=len(rows), adds_up=came_to.adds_up,
        share=came_to.rows.success_rate if came_to.rows else None,
    )  # fmt: skip


_RUNS = sql.SQL("""
select r.run_id, r.profile, r.trigger, r.request, {status} as status, {undone} as undone_by, r.started_at,
       extract(epoch from coalesce(r.finished_at, r.started_at) - r.started_at)::float8 as seconds,
       coalesce(b.read, 0) as read, coalesce(b.new, 0) as new, coalesce(b.changed, 0) as changed,
       coalesce(b.failed, 0) as failed, coalesce(d.deleted, 0) as deleted, m.new_failures, {entities} as entities
from (select * from hybrid_sync.run
      where status <> 'running' and trigger <> 'retry' and (%(entity)s::text is null or exists (
        select from hybrid_sync.run_entity x where x.run_id = run.run_id and x.entity = %(entity)s::text))
      order by started_at desc limit %(limit)s) r
left join lateral (
  select sum((result->>'read')::bigint)::bigint as read, sum((result->>'inserted')::bigint)::bigint as new,
         sum((result->>'updated')::bigint)::bigint as changed, sum((result->>'failed')::bigint)::bigint as failed
  from hybrid_sync.batch_done d where d.run_id = r.run_id
) b on true
left join lateral (
  select sum(coalesce((deletes->>'deleted')::bigint, 0) + coalesce((deletes->>'soft')::bigint, 0))::bigint as deleted
  from hybrid_sync.run_entity e where e.run_id = r.run_id
) d on true
left join lateral (
  select sum((line->>'new')::bigint)::bigint as new_failures
  from jsonb_array_elements(case when jsonb_typeof(r.report->'missed') = 'array' then r.report->'missed' end) line
) m on true
order by r.started_at desc
""").format(status=STATUS, undone=UNDONE_BY, entities=ENTITIES)
_LAST_RUN = sql.SQL("""
select r.run_id, r.profile, {} as status, coalesce(r.finished_at, r.started_at) as at from hybrid_sync.run r
where r.status <> 'running' and r.profile in ('weekly', 'daily', 'hourly') order by r.started_at desc limit 1
""").format(STATUS)
_WEEKLY = sql.SQL("""
select r.run_id, {} as status, r.started_at, (
         select coalesce(jsonb_agg(one), '[]') from jsonb_array_elements({}) one
         where %(entity)s::text is null or one->>'entity' = %(entity)s::text) as entities
from hybrid_sync.run r
where r.profile = 'weekly' and r.trigger <> 'retry' and r.started_at > now() - make_interval(weeks => %(weeks)s)
order by r.started_at
""").format(STATUS, ENTITIES)

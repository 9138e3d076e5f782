"""Runs in a list: those that have not begun, and page by page those that have, the newest first."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, LiteralString

from psycopg import sql
from pydantic import Field

from hybrid_sync.contracts import Message, Profile, RunRequest
from hybrid_sync.errors import no_such_run
from hybrid_sync.postgres import answer
from hybrid_sync.runs.ended import STATUS
from hybrid_sync.services.desk import Asked, Desk, at_target
from hybrid_sync.services.jobs import job_answer
from hybrid_sync.session import dicts

MOST = 200
Position = tuple[datetime, str]
"""When the last run of a page began, and its id."""


class ListingAsked(Asked):
    """Which runs; `after`: where the page before ended.  `retries`: the small ones of the failure queue, too."""

    status: str | None = None
    profile: Profile | None = None
    entity: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    retries: bool = False
    limit: Annotated[int, Field(ge=1, le=MOST)] = 50
    after: Position | None = None


class ListedRun(Message):
    """One run, or one that waits for its turn: with its place, and why."""

    run_id: str
    status: str
    profile: str
    trigger: str = ""
    priority: str = ""
    requested_by: str = ""
    correlation_id: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    place: int | None = None
    why: str = ""


class Listing(Message):
    """`next` is where the next page begins; None: there is none."""

    runs: tuple[ListedRun, ...]
    next: Position | None


def listing(desk: Desk, asked: ListingAsked, _: str) -> Listing:
    """The first page begins with what waits or is about to begin, in the order of its places."""
    filters = {**asked.model_dump(exclude={"after"}), "limit": asked.limit + 1}
    at, run_id = asked.after or (None, None)
    with at_target(desk) as target:
        found = answer(target, dicts(_RUNS, {**filters, "at": at, "run_id": run_id}))
        begun = {row[0] for row in target.execute(_BEGUN).fetchall()} if asked.after is None else set()
    page = found[: asked.limit]
    waiting = _not_begun(desk, asked, begun) if asked.after is None else ()
    last = (page[-1]["started_at"], page[-1]["run_id"]) if len(found) > asked.limit else None
    return Listing(runs=(*waiting, *(ListedRun(**row) for row in page)), next=last)


def _not_begun(desk: Desk, asked: ListingAsked, begun: set[str]) -> tuple[ListedRun, ...]:
    """Jobs that the target has no run of yet, as far as the filters may mean them; a check is no run."""
    if asked.since or asked.until:
        return ()
    jobs = [(standing.job.request, job_answer(standing)) for standing in desk.gate.at_work()[0]]
    return tuple(
        ListedRun(
            run_id=one.run_id, status=one.status, profile=one.profile, trigger=request.trigger,
            priority=one.priority, requested_by=one.requested_by, place=one.place, why=one.why,
            correlation_id=request.correlation_id or "",
        )
        for request, one in jobs
        if isinstance(request, RunRequest) and one.run_id not in begun
        and asked.status in (None, one.status) and asked.profile in (None, one.profile)
        and (asked.entity is None or _is_about(request, asked.entity))
    )  # fmt: skip


def _is_about(request: RunRequest, entity: str) -> bool:
    """A run without entities and rows is about all of them."""
    named = {*request.entities, *(ref.entity for ref in request.refs)}
    return entity in named or not named


def recorded(desk: Desk, run_id: str) -> ListedRun:
    """One run as the target knows it, also one that no execution is known of any more; RunNotFound."""
    with at_target(desk) as target:
        found = answer(target, dicts(_RUN, {"run_id": run_id}))
    if not found:
        raise no_such_run(run_id)
    return ListedRun(**found[0])


_BEGUN: LiteralString = "select run_id from hybrid_sync.run where status = 'running'"
_COLUMNS = sql.SQL("""
select r.run_id, {} as status, r.profile, r.trigger, r.priority,
       coalesce(r.request->>'requested_by', '') as requested_by,
       coalesce(r.request->>'correlation_id', '') as correlation_id, r.started_at, r.finished_at
from hybrid_sync.run r
""").format(STATUS)
_RUN = sql.SQL("{} where r.run_id = %(run_id)s").format(_COLUMNS)
_RUNS = sql.SQL("""
select * from ({columns}
  where (%(profile)s::text is null or r.profile = %(profile)s::text)
    and (%(retries)s::bool or r.trigger <> 'retry')
    and (%(since)s::timestamptz is null or r.started_at >= %(since)s::timestamptz)
    and (%(until)s::timestamptz is null or r.started_at < %(until)s::timestamptz)
    and (%(at)s::timestamptz is null or (r.started_at, r.run_id) < (%(at)s::timestamptz, %(run_id)s::text))
    and (%(entity)s::text is null
         or exists (select from hybrid_sync.run_entity e where e.run_id = r.run_id and e.entity = %(entity)s::text))
) as found
where %(status)s::text is null or status = %(status)s::text
order by started_at desc, run_id desc
limit %(limit)s
""").format(columns=_COLUMNS)

"""One run: what became of it in a sentence, its entities, its failures by cause, what it waits for, what one may do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString

from hybrid_sync.contracts import Message
from hybrid_sync.errors import KEPT_OUT, RunNotFound
from hybrid_sync.failures.again import retry_sentence as tries_again
from hybrid_sync.postgres import Connection, together
from hybrid_sync.report.document import Tone
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.outcome import reasons
from hybrid_sync.report.summary import recall
from hybrid_sync.report.words import n_of, reason_title, status_word
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages import Asked
from hybrid_sync.services.messages.runs import UnrecordedRun
from hybrid_sync.services.unrecorded import find
from hybrid_sync.services.views import at_work
from hybrid_sync.services.views.history import title_of
from hybrid_sync.services.views.model import Act, Money, Running
from hybrid_sync.services.views.verified import money_of
from hybrid_sync.services.waiting import Waits, ask_locks, waits
from hybrid_sync.session import dicts
from hybrid_sync.tuning.model import Bottleneck
from hybrid_sync.tuning.performance import performance_of

TONES = {
    "succeeded": Tone.good, "degraded": Tone.warning, "failed": Tone.bad, "lost": Tone.bad, "cancelled": Tone.quiet,
    "rolled_back": Tone.quiet, "running": Tone.quiet, "waiting": Tone.quiet, "merged": Tone.quiet,
}  # fmt: skip


class RunViewAsked(Asked):
    run_id: str


class Line(Message):
    """One moment of the run: what happened, with keys and codes."""

    at: datetime
    tone: Tone
    words: str


class CauseLine(Message):
    """Records that fail for one reason, over all entities of the run; or states that failed alike."""

    code: str
    title: str
    times: int
    new: int
    entities: tuple[str, ...]
    meaning: str
    remedy: str
    keys: tuple[str, ...] = ()


class EntityLine(Message):
    """One entity in the run, in rows."""

    entity: str
    title: str
    status: str
    read: int
    new: int
    changed: int
    deleted: int
    failed: int
    current: int | None
    due: int | None
    adds_up: str
    said: str = ""


class RunView(Message):
    """`verdict` says in a sentence how it ended and why; `running` is there while it is at work."""

    at: datetime
    run_id: str
    title: str
    status: str
    tone: Tone
    verdict: str
    part: str = ""
    requested_by: str = ""
    trigger: str = ""
    started_at: datetime
    finished_at: datetime | None = None
    seconds: float
    money: tuple[Money, ...] = ()
    entities: tuple[EntityLine, ...] = ()
    causes: tuple[CauseLine, ...] = ()
    lines: tuple[Line, ...] = ()
    running: Running | None = None
    times: str = ""
    """Where its time went, in a sentence."""
    bottlenecks: tuple[Bottleneck, ...] = ()
    undoes: str = ""
    undone_by: str = ""
    reported: bool = False
    """There is a report of it."""
    acts: tuple[Act, ...] = ()


def run_view(desk: Desk, asked: RunViewAsked, _: str) -> RunView:
    """RunNotFound where neither the target nor the state machine nor S3 knows it."""
    now = desk.now()
    try:
        with at_target(desk) as target:
            summary = recall(target, asked.run_id, desk.catalog)
            if summary.performance is None:  # it is at work, or so short that its report was made before it was known
                measured = performance_of(target, asked.run_id, desk.catalog)
                summary = summary.model_copy(update={"performance": measured})
            seen = _seen(target, asked.run_id)
    except (RunNotFound, *KEPT_OUT):
        unrecorded = find(desk, asked.run_id)
        if unrecorded is None:
            raise
        return _unrecorded(unrecorded, now)
    waiting = waits(desk) if seen["running"] else Waits()
    begun = at_work.running(seen["running"], seen["lanes"], seen["locks"], desk.catalog, waiting)
    return _view(summary, seen["run"][0], seen["moments"], next(iter(begun), None), now)


def _seen(target: Connection, run_id: str) -> dict[str, list[dict[str, Any]]]:
    with together(target) as trip:
        asked = {
            "run": trip.ask(dicts(_RUN, {"run": run_id})), "moments": trip.ask(dicts(_MOMENTS, {"run": run_id})),
            "running": trip.ask(at_work.ask_running(run_id)), "lanes": trip.ask(at_work.ask_lanes(run_id)),
            "locks": trip.ask(ask_locks()),
        }  # fmt: skip
    return {name: answer.value for name, answer in asked.items()}


def _view(
    summary: RunSummary, run: dict[str, Any], moments: Sequence[dict[str, Any]], running: Running | None, now: datetime
) -> RunView:
    measured = summary.performance
    return RunView(
        at=now, run_id=summary.run_id, title=title_of(run), status=summary.status, tone=TONES[summary.status],
        verdict=_verdict(summary, running), part=summary.scope, trigger=run["trigger"],
        requested_by=run["requested_by"] or "", started_at=summary.started_at, finished_at=summary.finished_at,
        seconds=summary.seconds, money=money_of(line for e in summary.entities for line in e.financial_impact),
        entities=tuple(map(_entity, summary.entities)), causes=_causes(summary), lines=_lines(summary, moments),
        running=running, times=measured.sentence if measured else "",
        bottlenecks=measured.bottlenecks if measured else (),
        undoes=run["undoes"] or "", undone_by=summary.undone_by or "",
        reported=summary.finished_at is not None, acts=_acts(summary),
    )  # fmt: skip


def _verdict(summary: RunSummary, running: Running | None) -> str:
    """The cause first where it did not go well."""
    if running is not None:
        waits = _waits(running.waiting_for[0]) if running.waiting_for else ""
        if not running.planned:
            return f"At work; {'nothing is to be carried' if running.lanes else 'it is not planned yet'}.{waits}"
        return f"At work: {running.done:,} of {n_of(running.planned, 'batch', 'batches')} done.{waits}"
    if summary.undone_by is not None:
        return f"Rolled back by {summary.undone_by}: the target is as it was before, except what others changed since."
    stopped = [f"{f.state}{f' ({f.entity})' if f.entity else ''}: {f.cause}" for f in summary.failures]
    failed = [f"{e.title}: {e.failure.text}" for e in summary.entities if e.failure is not None]
    why = [*stopped, *failed, *reasons(summary)]
    said = f"{status_word(summary.status).capitalize()}."
    if why:
        more = f" And {len(why) - 1} more, below." if len(why) > 1 else ""
        again = f" {once_more}." if (once_more := tries_again(summary.run_id, summary.again_at)) else ""
        return f"{said} {why[0].rstrip('.')}.{more}{again}"
    if summary.rows is None:
        return said
    return f"{said} {summary.current_rows:,} of {n_of(summary.due_rows, 'row')} are as legacy has them."


def _waits(why: str) -> str:
    """`why` is what it waits for, or a sentence of its own."""
    return f" It waits for {why}." if why[0].islower() else f" It waits: {why}."


def _entity(e: Any) -> EntityLine:
    where = e.conservation
    return EntityLine(
        entity=e.entity, title=e.title, status=e.status, read=e.counts.read, new=e.counts.inserted,
        changed=e.counts.updated, deleted=e.deleted_rows, failed=e.counts.failed, adds_up=e.adds_up,
        current=where.current if where else None, due=where.due if where else None,
        said=f"{e.failure.text} ({e.failure.code})" if e.failure else "",
    )  # fmt: skip


def _causes(summary: RunSummary) -> tuple[CauseLine, ...]:
    """Most records first; what stopped whole states comes before."""
    states: dict[tuple[str, str], list[str]] = {}
    for failure in summary.failures:
        states.setdefault((failure.state, failure.cause), []).append(failure.entity or "the run")
    stopped = [
        CauseLine(
            code=state, title=f"{state} failed", times=len(names), new=len(names), entities=tuple(dict.fromkeys(names)),
            meaning=cause, remedy="Settle what it names, then run again: a run goes on with what is left.",
        )
        for (state, cause), names in states.items()
    ]  # fmt: skip
    keys = {
        cause.reason: tuple(k for m in summary.missed if m.reason == cause.reason for k in m.keys)[:5]
        for cause in summary.causes
    }
    failed = [
        CauseLine(
            code=c.reason, title=reason_title(c.reason), times=c.records, new=c.new, entities=c.entities,
            meaning=c.meaning, remedy=c.remedy, keys=keys[c.reason],
        )
        for c in sorted(summary.causes, key=lambda c: -c.records)
    ]  # fmt: skip
    return (*stopped, *failed)


def _lines(summary: RunSummary, moments: Sequence[dict[str, Any]]) -> tuple[Line, ...]:
    lines = [
        Line(at=one["at"], tone=Tone.bad if one["bad"] else Tone.quiet, words=one["words"])
        for one in moments
        if one["at"] is not None
    ]
    if summary.finished_at is not None:
        lines.append(Line(at=summary.finished_at, tone=TONES[summary.status], words=status_word(summary.status)))
    return tuple(sorted(lines, key=lambda line: line.at))


def _acts(summary: RunSummary) -> tuple[Act, ...]:
    """What may be done about a run in its state."""
    if summary.status == "running":
        return (Act(kind="cancel", label="Cancel", of=summary.run_id),)
    acts = [Act(kind="run-again", label="Run again", of=summary.run_id)] if summary.profile != "rollback" else []
    if summary.undone_by is None:
        acts.append(Act(kind="rollback", label="Roll back…", of=summary.run_id))
    return tuple(acts)


def _unrecorded(run: UnrecordedRun, now: datetime) -> RunView:
    """What AWS knows of a run that the target has no record of."""
    failure = (run.report or {}).get("failure") or {}
    why = f" {failure['text']} ({failure['code']})" if failure else ""
    waits = f" It waits: {run.why}" if run.why else ""
    return RunView(
        at=now, run_id=run.run_id, title="Run", status=run.status, tone=TONES.get(run.status, Tone.quiet),
        verdict=f"{status_word(run.status).capitalize()}.{why}{waits}", started_at=run.started_at,
        finished_at=run.finished_at, seconds=((run.finished_at or now) - run.started_at).total_seconds(),
        acts=(Act(kind="cancel", label="Cancel", of=run.run_id),) if run.status in ("waiting", "running") else (),
    )  # fmt: skip


_RUN: LiteralString = """
select profile, trigger, undoes, request->>'requested_by' as requested_by from hybrid_sync.run where run_id = %(run)s
"""
_MOMENTS: LiteralString = """
select started_at as at, false as bad, 'started (' || trigger || ', ' || priority || ')' as words
from hybrid_sync.run where run_id = %(run)s
union all
select planned_at, false, entity || ' planned, batches: ' || coalesce(batches_planned, 0) || ', '
  || coalesce(detection, '') || coalesce(', ' || detection_reason, '')
from hybrid_sync.run_entity where run_id = %(run)s
union all
select finished_at, status <> 'verified', entity || ' ' || status || coalesce(': ' || (failure->>'code'), '')
from hybrid_sync.run_entity where run_id = %(run)s and finished_at is not null
union all
select at, true, state || coalesce(' of ' || entity, '') || ' failed: ' || error from hybrid_sync.run_failure
where run_id = %(run)s
"""

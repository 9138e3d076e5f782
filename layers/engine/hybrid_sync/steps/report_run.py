"""Report run: end the run, record in numbers what it did and what is missing and why, and notify people."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg

from hybrid_sync.admission.scheduled import CALLER, Scheduled
from hybrid_sync.alerts import Alert
from hybrid_sync.contracts import OnFailure, Profile, ReportRequest, RunFailure, RunOutcome
from hybrid_sync.entrypoint import logger, measure
from hybrid_sync.errors import ConfigurationMissing, Contention, OtherVersion, RunNotFound, SyncError
from hybrid_sync.failpoints import failpoint
from hybrid_sync.failures.again import retry_sentence, starts_again
from hybrid_sync.failures.cause import plain
from hybrid_sync.failures.quarantine import RECORDS_KEPT
from hybrid_sync.postgres import Connection, answer, one_trip, send_with_next, transaction
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.notification import cause_of, notification
from hybrid_sync.report.outcome import outcome
from hybrid_sync.report.page import page
from hybrid_sync.report.render import copy_outside
from hybrid_sync.report.story import never_began as unbegun
from hybrid_sync.report.summary import summarise
from hybrid_sync.runs import store
from hybrid_sync.runs.notified import is_news, over
from hybrid_sync.session import Trip
from hybrid_sync.steps.same_version import same_version
from hybrid_sync.timing import timed
from hybrid_sync.tuning.model import Performance
from hybrid_sync.undo import JOURNAL_KEPT
from hybrid_sync.world import World

if TYPE_CHECKING:
    from hybrid_sync.cost.answer import Cost
    from hybrid_sync.recorded.levels import Levels


def report_run(world: World, request: ReportRequest) -> RunOutcome:
    """Write the report to the target and to S3, and publish its summary; safe to repeat.

    A run that failed before it was recorded (a wrong catalog, a database that is away) is reported too, and one
    whose target cannot be asked is reported with the failure that ended it.
    """
    if request.failure is not None:
        request = request.model_copy(update={"failure": plain(request.failure)})
    try:
        with world.connect_target() as target:
            if request.failure is not None:
                _end_first_loads(world, request.run_id, target)
            return reported(world, request, target, times=_times(world, request, target))
    except SyncError as error:
        if request.failure is None and not isinstance(error, RunNotFound):
            raise
        return never_began(world, request)


def _end_first_loads(world: World, run_id: str, target: Connection) -> None:
    """A run that broke off leaves no table without its foreign keys until the next one, if that can be done now."""
    with suppress(SyncError, psycopg.Error):
        with transaction(target, "target", read_only=True):
            if not store.first_load_left_open(target):
                return
        from hybrid_sync.steps.bulk_load import end_left_open, record_unhealed  # seldom

        record_unhealed(run_id, end_left_open(world, run_id, target), target)


@timed("report")
def reported(
    world: World, request: ReportRequest, target: Connection, verdicts: Trip | None = None, *, notified: bool = False,
    times: Performance | None = None,
) -> RunOutcome:  # fmt: skip
    """`report_run` over an open connection; `verdicts` record what a verification has just found.

    `notified`: people know how the run ended.  `times`: where its time went.
    """
    with transaction(target, "target"):
        for verdict in verdicts.answers if verdicts else ():
            send_with_next(target, verdict.question.query)
        if request.failure is not None:
            answer(target, store.ask_run(request.run_id))
            store.record_failure(target, request.failure)
        summary = _with_next_attempt(world, _ended(world, target, request.run_id))
        summary = summary.model_copy(update={"performance": times})
        failpoint("report.finished", target)
        document = summary.model_dump(mode="json")
        store.keep_report(target, request.run_id, document)
    failpoint("report.committed", target)
    well = summary.status == "succeeded"
    if summary.profile == Profile.weekly:
        _forget_what_is_old(target)
    shown, location = copy_outside(world.reports, request.run_id, summary, document)
    failpoint("report.stored", target)
    _measure(document)
    # Who starts a run of a few rows sees how it ends; that it went well is no news to anybody else.
    if not notified and not (well and summary.profile == Profile.on_demand):
        _notify(world, target, summary, shown)
    return RunOutcome(run_id=request.run_id, status=summary.status, report=location, summary=_brief(summary))


def _times(world: World, request: ReportRequest, target: Connection) -> Performance | None:
    """In a transaction of its own: a report without times is better than none."""
    from hybrid_sync.steps.whole_report import AskedPerformance

    try:
        with one_trip(target, "target", read_only=True) as trip:
            asked = AskedPerformance(trip, request.run_id, world.catalog)
        return asked.performance()
    except (SyncError, psycopg.Error) as error:
        logger.warning("run times not read", extra={"error": getattr(error, "code", type(error).__name__)})
        return None


def _measure(document: dict[str, Any]) -> None:
    """The run's numbers, as metrics."""
    from hybrid_sync.steps.whole_report import of_run

    measure(of_run(document))


def _notify(world: World, target: Connection, summary: RunSummary, shown: str) -> None:
    """Send the alert before the commit that records it: an alert that cannot be sent is sent by the next attempt."""
    with transaction(target, "target"):
        well = summary.status == "succeeded"
        verified = well or summary.status == "degraded"
        part = [e.entity for e in summary.entities] if summary.scope else None
        is_over = over(summary.run_id, cause_of(summary.profile), well=well, part=part)
        ended = answer(target, is_over) if verified else []
        alert = notification(summary, shown, ended)
        if is_news(target, alert):
            world.alerts.publish(alert)


def _ended(world: World, target: Connection, run_id: str) -> RunSummary:
    """End the run, unless somebody has, and summarise it as it then stands; by another catalog it cannot be judged, nor
    where the target's own rules did not apply."""
    summary = summarise(target, run_id, world.catalog, compared=False)
    if summary.status != "running":
        return _with_levels(world, target, summary, summary.as_of)
    try:
        answer(target, same_version(world, run_id))
    except (OtherVersion, ConfigurationMissing) as error:
        store.record_failure(target, RunFailure(run_id=run_id, state="ReportRun", error=error.code, cause=str(error)))
        summary = summarise(target, run_id, world.catalog, compared=False)
    send_with_next(target, store.finishing(run_id, outcome(summary)))
    return _with_levels(world, target, summary, world.now())


def _with_levels(world: World, target: Connection, summary: RunSummary, at: datetime) -> RunSummary:
    """The run as it stands by now, with the service levels of `at` if it takes everything; in one trip."""
    run_id = summary.run_id
    if summary.profile not in (Profile.weekly, Profile.daily, Profile.verify) or summary.trigger == "retry":
        return summarise(target, run_id, world.catalog)
    from hybrid_sync.steps.whole_report import ask_levels, ask_month

    asked: list[tuple[Callable[[], Cost], Callable[[tuple[float, float] | None], Levels]]] = []
    summary = summarise(
        target, run_id, world.catalog,
        lambda trip: asked.append((ask_month(trip, at), ask_levels(trip, world.catalog, at))),
    )  # fmt: skip
    [(month, levels)] = asked
    spent = month()
    return summary.model_copy(update={"levels": levels((spent.dollars, spent.forecast or spent.dollars))})


def _with_next_attempt(world: World, summary: RunSummary) -> RunSummary:
    """With when it is started again by itself; a policy that holds entities or undoes the run asks for a person."""
    found_wanting = any(e.status == "incomplete" and e.failure is None for e in summary.entities)
    if summary.trigger != CALLER or summary.status != "failed" or found_wanting or summary.on_failure != OnFailure.keep:
        return summary
    codes = {f.error for f in summary.failures} | {e.failure.code for e in summary.entities if e.failure}
    hours = world.limits(Profile(summary.profile)).again_hours
    at = starts_again(summary.run_id, codes, summary.finished_at or world.now(), hours)
    return summary.model_copy(update={"again_at": at})


def _forget_what_is_old(target: Connection) -> None:
    """Drop the weeks of the journal from which no run can be undone any more with what only they need, and the failed
    records that ended long ago; where one is in use, next time."""
    with suppress(Contention), one_trip(target, "target", writes=True) as trip:
        trip.do("set local lock_timeout = '5s'")
        trip.do("select hybrid_sync.drop_journal_partitions(%s)", (JOURNAL_KEPT,))
        # Of a transaction whose entries are gone nobody asks any more which ids it had.
        trip.do(
            "delete from hybrid_sync.written_beside w where at < clock_timestamp() - %s"
            " and not exists (select from hybrid_sync.journal j where j.batch_id = w.batch_id)",
            (JOURNAL_KEPT,),
        )
        trip.do(
            "delete from hybrid_sync.batch_attempt a using hybrid_sync.run r where r.run_id = a.run_id"
            " and r.finished_at < clock_timestamp() - %s",
            (JOURNAL_KEPT,),
        )
        trip.do(
            "delete from hybrid_sync.failed_record where status = 'resolved' and ended_at < clock_timestamp() - %s",
            (RECORDS_KEPT,),
        )


def _brief(summary: RunSummary) -> dict[str, int]:
    """Totals over all entities, for the state machine's output."""
    return {**summary.counts.model_dump(), "deleted": summary.deleted_rows, "due": summary.due_rows,
            "current": summary.current_rows}  # fmt: skip


def never_began(world: World, request: ReportRequest, status: str = "failed") -> RunOutcome:
    """The report of a run that the target has no record of, by what ended it."""
    failure = request.failure
    code = failure.error if failure else "unknown"
    text = failure.cause if failure else "The run was not recorded."
    at = None
    if status == "failed" and (named := Scheduled.named(request.run_id)):
        at = starts_again(request.run_id, [code], world.now(), world.limits(named.profile).again_hours)
    again = retry_sentence(request.run_id, at)
    document = {
        "run_id": request.run_id, "status": status, "failure": {"code": code, "text": text},
        "again_at": at.isoformat() if at else None,
    }  # fmt: skip
    location, gone = "", ""
    try:
        world.reports.write_page(request.run_id, "html", page(unbegun(request.run_id, code, text, status, again)))
        location = world.reports.write(request.run_id, document)
    except ConfigurationMissing as missing:
        gone = f"Done without: {missing}"
    alert = Alert(
        f"run {status} before it began", (f"Run {request.run_id}: {code}: {text}", *filter(None, [again, gone])),
        urgent=True, command="hybrid-sync check", path=f"runs/{request.run_id}",
    )  # fmt: skip
    world.alerts.publish(alert)
    return RunOutcome(run_id=request.run_id, status=status, report=location, summary={"code": code, "text": text})

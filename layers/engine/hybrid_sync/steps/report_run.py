"""Report run: end the run, tell in numbers what it did and what is missing and why, and tell people."""

from __future__ import annotations

from contextlib import suppress

from hybrid_sync.contracts import Profile, ReportRequest, RunOutcome
from hybrid_sync.errors import Contention, RunNotFound, SyncError
from hybrid_sync.failpoints import failpoint
from hybrid_sync.postgres import Connection, transaction
from hybrid_sync.report.page import page
from hybrid_sync.report.render import to_html, to_markdown
from hybrid_sync.report.story import never_began
from hybrid_sync.report.summary import summarise
from hybrid_sync.runs import store
from hybrid_sync.runs.rollback import JOURNAL_KEPT
from hybrid_sync.world import World


def report_run(world: World, request: ReportRequest) -> RunOutcome:
    """Write the report to the target and to S3, and publish its summary; safe to repeat.

    A run that failed before it was recorded (a wrong catalog, a database that is away) is reported too, and one
    whose target cannot be asked is reported with the failure that ended it.
    """
    try:
        with world.connect_target() as target:
            return _reported(world, request, target)
    except SyncError as error:
        if request.failure is None and not isinstance(error, RunNotFound):
            raise
        return _never_began(world, request)


def _reported(world: World, request: ReportRequest, target: Connection) -> RunOutcome:
    with transaction(target, "target"):
        if request.failure is not None:
            store.read_run(target, request.run_id)
            store.record_failure(target, request.failure)
        status = _status(target, request.run_id)
        store.finish_run(target, request.run_id, status)
        failpoint("report.finished", target)
        summary = summarise(target, request.run_id, world.catalog)
        document = summary.model_dump(mode="json")
        store.keep_report(target, request.run_id, document)
    failpoint("report.committed", target)
    if summary.profile == Profile.weekly:
        _forget_old_journal(target)
    shown = world.reports.write_page(request.run_id, "html", to_html(summary))
    world.reports.write_page(request.run_id, "md", to_markdown(summary))
    location = world.reports.write(request.run_id, document)
    failpoint("report.stored", target)
    brief = _brief(document)
    world.alerts.publish(f"hybrid-sync: {summary.profile} run {status}", _text(request.run_id, status, brief, shown))
    return RunOutcome(run_id=request.run_id, status=status, report=location, summary=brief)


def _status(target: Connection, run_id: str) -> str:
    """Succeeded only when every entity was verified and no state failed."""
    row = target.execute(
        "select (select status from hybrid_sync.run where run_id = %(run)s),"
        " not exists (select from hybrid_sync.run_entity where run_id = %(run)s and status <> 'verified'),"
        " not exists (select from hybrid_sync.run_failure where run_id = %(run)s and entity is null)",
        {"run": run_id},
    ).fetchone()
    if row is None or row[0] is None:
        raise RunNotFound(f"There is no run {run_id} in the target.")
    if row[0] != "running":
        return str(row[0])
    return "succeeded" if row[1] and row[2] else "failed"


def _forget_old_journal(target: Connection) -> None:
    """Drop the weeks of the journal from which no run can be undone any more; where one is in use, next time."""
    with suppress(Contention), transaction(target, "target"):
        target.execute("set local lock_timeout = '5s'")
        target.execute("select hybrid_sync.drop_journal_partitions(%s)", (JOURNAL_KEPT,))


def _brief(document: dict[str, object]) -> dict[str, int]:
    """Totals over all entities, for the state machine's output and the notification."""
    totals: dict[str, int] = {}
    entities = document["entities"]
    assert isinstance(entities, list)
    for entity in entities:
        for name, value in entity["counts"].items():
            totals[name] = totals.get(name, 0) + int(value)
    totals["deleted"] = int(str(document["deleted_rows"]))
    return totals


def _text(run_id: str, status: str, brief: dict[str, int], location: str) -> str:
    numbers = ", ".join(f"{name} {value}" for name, value in brief.items())
    return f"Run {run_id} {status}: {numbers}.\nReport: {location}\nSee: hybrid-sync report {run_id}"


def _never_began(world: World, request: ReportRequest) -> RunOutcome:
    failure = request.failure
    code = failure.error if failure else "unknown"
    text = failure.cause if failure else "The run was not recorded."
    document = {"run_id": request.run_id, "status": "failed", "failure": {"code": code, "text": text}}
    world.reports.write_page(request.run_id, "html", page(never_began(request.run_id, code, text)))
    location = world.reports.write(request.run_id, document)
    world.alerts.publish("hybrid-sync: run failed before it began", f"Run {request.run_id}: {code}: {text}")
    return RunOutcome(run_id=request.run_id, status="failed", report=location, summary={"code": code, "text": text})

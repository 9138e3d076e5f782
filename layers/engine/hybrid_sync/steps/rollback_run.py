"""Rollback run: undo a run from its journal, batch by batch, the last one first; then report what was not undone."""

from __future__ import annotations

import time

from hybrid_sync.alerts import Alert
from hybrid_sync.contracts import OnFailure, RollbackOutcome, RollbackTask
from hybrid_sync.postgres import Connection, answer, inside, transaction
from hybrid_sync.report.render import copy_outside
from hybrid_sync.report.summary import recall, summarise
from hybrid_sync.runs.called import ask_called, take_along
from hybrid_sync.runs.store import ask_entities, first_load_left_open, keep_report
from hybrid_sync.schema.ready import require_installed
from hybrid_sync.steps.contain import contained
from hybrid_sync.steps.plans import recall_erased, require_recalled
from hybrid_sync.undo.begin import Rollback, begin, hold_unverified, policy_of
from hybrid_sync.undo.end import finish, undone
from hybrid_sync.undo.undo import steps, undo_batch
from hybrid_sync.world import World

_SECONDS_PER_CALL, _SECONDS_OF_A_BRIEF_CALL = 30.0, 10.0


def rollback_run(world: World, task: RollbackTask) -> RollbackOutcome:
    """Undo for about half a minute; `more` asks for the next call.  Safe to repeat: a batch is undone once.

    Raises RunNotFound, RequestRejected with what stands in the way, or a transient error when the target is busy.
    """
    with world.connect_target() as target:
        require_installed(target)
        if task.by_policy:
            with transaction(target, "target"):
                policy = policy_of(target, task.run_id)
                held = hold_unverified(target, task.run_id) if policy is OnFailure.hold else ()
            if policy is not OnFailure.rollback:
                return RollbackOutcome(run_id=task.run_id, held=held)
        require_recalled(world, target)
        with transaction(target, "target", read_only=True):
            called = answer(target, ask_called(world.catalog))
        if called is False:
            with world.connect_legacy() as legacy:
                recall_erased(world, legacy, target)  # before names are taken for known
            take_along(target, world.catalog)
        with transaction(target, "target"):
            under_way = begin(target, world.catalog, task)
        if under_way.running:
            _end_first_loads(world, under_way, target)
            seconds = _SECONDS_OF_A_BRIEF_CALL if task.brief else _SECONDS_PER_CALL
            if not _undo_some(world, under_way, target, seconds):
                return _outcome(under_way, target, more=True)
            with transaction(target, "target"):
                finish(target, under_way)
        return _report(world, under_way, target)


def _end_first_loads(world: World, under_way: Rollback, target: Connection) -> None:
    """What foreign keys keep from being deleted, nothing else would."""
    with transaction(target, "target", read_only=True):
        if not first_load_left_open(target):
            return
    from hybrid_sync.steps.bulk_load import end_left_open, record_unhealed, without_key  # seldom

    record_unhealed(under_way.rollback_id, end_left_open(world, under_way.rollback_id, target), target)
    refused = without_key(target)
    for entity in under_way.entities:
        if entity in refused:
            raise refused[entity]


def _undo_some(world: World, under_way: Rollback, target: Connection, seconds: float) -> bool:
    """Whether everything is undone now."""
    until = time.monotonic() + seconds
    with transaction(target, "target", read_only=True):
        waiting = steps(target, world.catalog, under_way.rollback_id, under_way.run_id)
    left_out: set[str] = set()
    for step in waiting:
        if time.monotonic() > until:
            return False
        if step.entity in left_out:
            continue
        left_out.add(step.entity)
        with contained(world, under_way.rollback_id, step.entity, "RollbackRun", target):
            with transaction(target, "target"):
                undo_batch(target, world.catalog, step)
            left_out.discard(step.entity)
    return True


def _outcome(under_way: Rollback, target: Connection, *, more: bool) -> RollbackOutcome:
    with inside(target, "target"):
        done = undone(target, under_way.rollback_id)
        records = answer(target, ask_entities(under_way.rollback_id, under_way.entities))
    failed = tuple(sorted(name for name, record in records.items() if record.status == "failed"))
    return RollbackOutcome(
        run_id=under_way.run_id,
        rollback_id=under_way.rollback_id,
        more=more,
        held=under_way.entities,
        undone=done,
        failed=failed,
    )


def _report(world: World, under_way: Rollback, target: Connection) -> RollbackOutcome:
    """The rollback's report, like any run's: kept in the target, a page, Markdown and JSON; safe to repeat."""
    outcome = _outcome(under_way, target, more=False)
    rollback_id = under_way.rollback_id
    with transaction(target, "target"):
        summary = summarise(target, rollback_id, world.catalog)
        document = summary.model_dump(mode="json")
        keep_report(target, rollback_id, document)
    shown, location = copy_outside(world.reports, rollback_id, summary, document)
    _rewrite_report(world, under_way.run_id, target)
    world.alerts.publish(_alert(outcome, location or shown))
    return outcome.model_copy(update={"report": location})


def _rewrite_report(world: World, run_id: str, target: Connection) -> None:
    """The report of the run that was undone must not go on saying that it succeeded."""
    with transaction(target, "target"):
        undone_run = recall(target, run_id, world.catalog)
    copy_outside(world.reports, run_id, undone_run, undone_run.model_dump(mode="json"))


def _alert(outcome: RollbackOutcome, location: str) -> Alert:
    done = outcome.undone
    kept = sum(done.conflicts.values())
    not_undone = (f"Not undone: {', '.join(outcome.failed)}; the report says why.",) if outcome.failed else ()
    lines = (
        f"Run {outcome.run_id} was rolled back by {outcome.rollback_id}: {done.updated} rows put back, {done.deleted}"
        f" deleted, {done.inserted} brought back, {kept} left alone because they have changed since.",
        *not_undone,
        f"Held until released: {', '.join(outcome.held) or 'nothing'}.",
        f"Report: {location}",
    )
    return Alert(
        f"run {outcome.run_id} rolled back", lines, urgent=bool(outcome.failed), entities=outcome.held,
        remedy="Release what is held once the cause is settled: the next run brings legacy's changes again."
        if outcome.held else "",
        command=f"hybrid-sync release {' '.join(outcome.held)}" if outcome.held else "",
        path=f"runs/{outcome.rollback_id}",
    )  # fmt: skip

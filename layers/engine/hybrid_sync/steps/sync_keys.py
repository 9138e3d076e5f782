"""Sync keys: a run of a few keys as one function, from the request to the report; what is larger goes the whole flow.

Keys, the parents that the target lacks, one transaction of the target, then what is visible is verified and reported.
No fence moves.  Before the commit nothing of the run is recorded, so whatever stands in the way (too many rows, an
entity that does not fit or is held, a value that has to move) is left to the whole flow, which deals with it or says
what is wrong.  After the commit a repeated delivery goes on behind it.
"""

from __future__ import annotations

import time

import psycopg

from hybrid_sync.compare import few_keys
from hybrid_sync.contracts import EntityTask, LinkTask, Profile, ReportRequest, RunOutcome, RunRequest, SyncedKeys
from hybrid_sync.entrypoint import logger, measure
from hybrid_sync.errors import ConfigurationMissing, Contention, Moved, StructureMismatch, SyncError, TargetUnavailable
from hybrid_sync.failpoints import failpoint
from hybrid_sync.key_values import MOST_KEYS
from hybrid_sync.legacy.fence import keep_to
from hybrid_sync.postgres import Connection, one_trip
from hybrid_sync.runs.closure import places
from hybrid_sync.runs.store import ask_entities, ask_run, record_verdict
from hybrid_sync.schema.plans import compile_together, forget
from hybrid_sync.session import Question, Trip
from hybrid_sync.steps.find_keys import Wait, Whole, find_keys, grow
from hybrid_sync.steps.link_references import link_references
from hybrid_sync.steps.plan_entity import batch_of_keys
from hybrid_sync.steps.plans import plan_of
from hybrid_sync.steps.same_version import same_version
from hybrid_sync.steps.sync_batch import queue_failures
from hybrid_sync.steps.verify_entity import verify_entity
from hybrid_sync.steps.write_keys import Grown, Wrote, write_keys
from hybrid_sync.world import World, both_sides

_ROUNDS = 4
"""How often rows may turn out to refer to parents that nobody has looked for, or the target to have moved on, before
the whole flow takes them."""


def sync_keys(world: World, request: RunRequest, *, most: int = MOST_KEYS, wait: Wait = time.sleep) -> SyncedKeys:
    """Carry, verify and report; or (`whole`) say why the whole flow has to, nothing of the run being recorded.

    Safe to repeat: what an earlier delivery has committed is not written again, and a run that has ended stays as it
    is.  `wait` lets time pass where legacy does not show a key yet.  Raises a transient SyncError when a database is
    away; and, once the run has committed, whatever its report is to name.
    """
    if not _is_few(request, most):
        return _whole(request, "not_few_keys")
    run = _Run(world, request, most, wait)
    try:
        return SyncedKeys(run_id=request.run_id, whole=False, outcome=run.outcome())
    except Whole as left:
        return _whole(request, left.why)
    except SyncError as error:
        # What contends goes the whole way, where a row that is in the way costs itself.
        if run.wrote is not None or (error.transient and not isinstance(error, Contention)):
            raise
        if isinstance(error, StructureMismatch):  # an earlier delivery may have made the plan: no step is to meet it
            forget(request.run_id, *world.catalog.entities)
        logger.warning("left to the whole flow", extra={"error": f"{error.code}: {error}"})
        if isinstance(error, ConfigurationMissing):  # the flow carries the rows all the same: nobody else would notice
            measure({"TakenOver": 1})
        return _whole(request, error.code)
    except psycopg.Error as error:
        if run.wrote is not None or error.sqlstate is None:
            raise
        return _whole(request, error.sqlstate)


def _is_few(request: RunRequest, most: int) -> bool:
    """Keys and nothing else; a request that does not fit is refused where runs are planned."""
    more = request.since or request.until or request.entities or request.repair or request.act != "sync"
    more = more or not {ref.entity for ref in request.refs}.issuperset(request.allow_deletes)  # means nothing: refused
    return request.profile is Profile.on_demand and 0 < len(request.refs) <= most and not more


def _whole(request: RunRequest, why: str) -> SyncedKeys:
    return SyncedKeys(run_id=request.run_id, whole=True, why=why, request=request)


class _Run:
    """One run, over one connection to each side unless something is left to be linked or looked at closely."""

    def __init__(self, world: World, request: RunRequest, most: int, wait: Wait) -> None:
        self._world = world
        self._request = request
        self._most = most
        self._wait = wait
        self._report = ReportRequest(run_id=request.run_id)
        self.wrote: Wrote | None = None
        """Once it has committed."""

    def outcome(self) -> RunOutcome:
        for _ in range(_ROUNDS - 1):
            try:
                return self._once()
            except Moved:  # by REST: another writer was faster, and nothing of the message was kept
                continue
        return self._once()

    def _once(self) -> RunOutcome:
        try:
            done = self._usual()
        except TargetUnavailable:
            # The commit may have arrived before the connection broke: asking again finds the run, or does the work.
            done = self._usual()
        return done or self._unusual()

    def _usual(self) -> RunOutcome | None:
        """Nearly always all of it; None where something is left to do."""
        with both_sides(self._world) as (legacy, target):
            wrote = self.wrote = self.wrote or self._written(legacy, target)
            if wrote.run.status != "running":
                return self._reported(target)
            for task in wrote.unqueued:
                queue_failures(self._world, task, target, task.keys or ())
            wrote.unqueued = []
            return None if wrote.links else self._verified(wrote, legacy, target)

    def _unusual(self) -> RunOutcome:
        wrote = self.wrote
        assert wrote is not None, "written before"
        if wrote.links:
            link_references(self._world, LinkTask(run_id=wrote.run.run_id))
            with both_sides(self._world) as (legacy, target):
                if done := self._verified(wrote, legacy, target):
                    return done
        for name in wrote.differing:
            verify_entity(self._world, EntityTask(run_id=wrote.run.run_id, entity=name))
        with self._world.connect_target() as target:
            return self._reported(target)

    def _written(self, legacy: Connection, target: Connection) -> Wrote:
        """What has been committed, by this delivery or an earlier one."""
        world, request = self._world, self._request
        found = find_keys(world, request, self._most, self._wait, legacy, target)
        for _ in range(_ROUNDS):
            if found is None:
                return _recorded(world, request.run_id, target)
            try:
                wrote = write_keys(world, request, found, legacy, target)
            except Grown:
                grow(world, request, found, self._most, legacy, target)
                continue
            if wrote is None:
                return _recorded(world, request.run_id, target)
            failpoint("keys.committed", target, legacy)
            return wrote
        raise Whole("growing")

    def _verified(self, wrote: Wrote, legacy: Connection, target: Connection) -> RunOutcome | None:
        """The report, where both sides turn out to be the same; None where some entity has to be looked at closely."""
        names = list(wrote.requested)
        keep_to(legacy, wrote.run.fence)
        compile_together(wrote.run.run_id, names, self._world.catalog, legacy, target)
        plans = {name: plan_of(self._world, wrote.run.run_id, name, legacy, target) for name in names}
        found = few_keys.verify(self._world.catalog, wrote.run, plans, wrote.requested, wrote.planned, legacy, target)
        failpoint("keys.verified", target, legacy)
        verdicts = Trip()
        for name, one in found.items():
            record_verdict(
                verdicts, wrote.run.run_id, name, verified=name not in wrote.guarded, counted=one.counted,
                asked=[row.as_json() for row in one.asked],
            )  # fmt: skip
        wrote.differing = [name for name in names if name not in found]
        if not wrote.differing:
            return self._reported(target, verdicts)
        with one_trip(target, "target", writes=True) as trip:
            for verdict in verdicts.answers:
                trip.ask(verdict.question)
        return None

    def _reported(self, target: Connection, verdicts: Trip | None = None) -> RunOutcome:
        # A cold worker has written the rows before it loads what draws pages; what the whole flow does needs none.
        from hybrid_sync.steps.report_run import reported

        return reported(self._world, self._report, target, verdicts)


def _recorded(world: World, run_id: str, target: Connection) -> Wrote:
    """What an earlier delivery has committed; whatever it may have left to do is to be done.

    Raises Whole where the whole flow has begun the run.
    """
    with one_trip(target, "target", read_only=True) as trip:
        trip.ask(same_version(world, run_id))
        asked, records = trip.ask(ask_run(run_id)), trip.ask(ask_entities(run_id, None))
        at_once = trip.ask(_ask_at_once(run_id))
    if not at_once.value:
        raise Whole("begun")
    requested = {name: record.requested or {} for name, record in records.value.items()}
    guarded = {name for name, record in records.value.items() if record.deletes and record.deletes.get("guarded")}
    tasks = [batch_of_keys(run_id, place, keys) for place, keys in places(requested)]
    planned = {name: record.as_planned for name, record in records.value.items() if record.as_planned is not None}
    return Wrote(asked.value, requested, planned, guarded, links=True, unqueued=tasks)


def _ask_at_once(run_id: str) -> Question[bool]:
    return Question(
        "select at_once from hybrid_sync.run where run_id = %s", (run_id,), lambda found: bool(found.fetchall()[0][0])
    )

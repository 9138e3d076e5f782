"""A run in this process: the state machine file is played, and each function's step is called over `HereWorld`."""

from __future__ import annotations

import getpass
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hybrid_sync.contracts import RollbackOutcome, RollbackTask, RunRequest
from hybrid_sync.entrypoint import error_sentence, logger
from hybrid_sync.errors import RunNotFound, SyncError
from hybrid_sync.postgres import transaction
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.summary import recall
from hybrid_sync.runs.store import finish_run
from hybrid_sync.schema.ready import require_installed
from hybrid_sync.services.audit import Caller, record
from hybrid_sync.services.starts import check_range, check_ref
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.flow.clock import WallClock
from hybrid_sync_cli.flow.deployed import flow
from hybrid_sync_cli.flow.execution import Delivery, Execution
from hybrid_sync_cli.flow.functions import deployed, payload_of, step_failed
from hybrid_sync_cli.flow.play import play
from hybrid_sync_cli.here.world import HereWorld
from hybrid_sync_cli.interrupts import signals_as_interrupts

Say = Callable[[str], None]


@contextmanager
def _unlogged() -> Iterator[None]:
    """The engine's lines are the functions' logs; whoever stands here reads the report."""
    level = logger.log_level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@_unlogged()
def perform(world: HereWorld, run_id: str, request: RunRequest, lease: str, say: Say) -> RunSummary:
    """Carry the run out from its plan to its report.

    `lease` is the reason why it goes without a slot, or empty; the audit trail has it before anything is written.
    CliError where the run did not begin.  Interrupt, SIGTERM and SIGHUP end it as cancelled: what is committed stays.
    """
    world.catalog.require_deletable(request)
    for name in request.entities:
        _ = world.catalog[name]
    check_range(world.catalog, request)
    for ref in request.refs:
        check_ref(world.catalog, ref)
    asked = request.model_copy(update={"requested_by": who()})
    # A server that is away is waited for in mid-run; whoever stands here hears of it before.
    world.connect_legacy().close()
    with world.connect_target() as target:
        require_installed(target)
    _audit(world, run_id, "run-here", {"run_id": run_id, "profile": request.profile, "override_lease": lease})
    hands = Hands(world, say)
    # The machine chooses the way of a request by whether it names rows.
    given = asked.model_dump(mode="json", exclude={"run_id"} if asked.refs else {"run_id", "refs"})
    with world.executions.at_work(run_id), _ended_when_interrupted(world, run_id):
        execution = Execution(flow(), run_id, given, world.manifests.lines, clock=WallClock())
        play(execution, hands)
    try:
        with world.connect_target() as target, transaction(target, "target", read_only=True):
            return recall(target, run_id, world.catalog)
    except RunNotFound:
        raise CliError(f"Run {run_id} did not begin: {hands.failed or execution.cause}") from None


@_unlogged()
def undo(world: HereWorld, task: RollbackTask, say: Callable[[RollbackOutcome], None]) -> RollbackOutcome:
    """Undo a run, by whomever it was carried out."""
    what = {"run_id": task.run_id, "out_of_order": task.out_of_order}
    task = task.model_copy(update={"requested_by": who()})
    try:
        while (outcome := rollback_run(world, task)).more:
            say(outcome)
            task = task.model_copy(update={"rollback_id": outcome.rollback_id})
    except SyncError as error:
        _audit(world, task.run_id, "rollback-here", what, error.code)
        raise
    _audit(world, task.run_id, "rollback-here", what)
    return outcome


def who() -> str:
    """The person at this machine, as the machine knows them."""
    return f"here:{getpass.getuser()}@{socket.gethostname()}"


class Hands:
    """Calls the step of each delivery, and says which part of the flow it has come to."""

    def __init__(self, world: HereWorld, say: Say) -> None:
        self._world = world
        self._say = say
        self._part = ""
        self._began = time.monotonic()
        self.failed = ""
        """What has failed last, in words."""

    def __call__(self, delivery: Delivery) -> Any:
        if (part := str(delivery.place[0])) != self._part:
            self._part = part
            self._say(f"{time.monotonic() - self._began:7.1f} s  {part}")
        _, step = deployed(delivery.function)
        try:
            result = step(self._world, payload_of(delivery))
        except Exception as error:
            failed = step_failed(error)
            self.failed = error_sentence(error)[0]
            self._say(f"           {delivery.state}: {self.failed}")
            raise failed from error
        return None if result is None else result.model_dump(mode="json")


def _audit(world: HereWorld, run_id: str, command: str, what: dict[str, Any], code: str = "") -> None:
    record(world, Caller(who(), "", run_id), command, what, "refused" if code else "done", code)


@contextmanager
def _ended_when_interrupted(world: HereWorld, run_id: str) -> Iterator[None]:
    try:
        with signals_as_interrupts():
            yield
    except KeyboardInterrupt:
        with world.connect_target() as target, transaction(target, "target"):
            finish_run(target, run_id, "cancelled")
        raise

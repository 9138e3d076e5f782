"""Contain: a failure that a person must heal stops the entity where it happened, and no other one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from hybrid_sync.contracts import RunFailure
from hybrid_sync.errors import RunNotRunning, SyncError
from hybrid_sync.postgres import Connection, transaction
from hybrid_sync.runs import store
from hybrid_sync.steps.record_failure import placed
from hybrid_sync.world import World


@contextmanager
def contained(world: World, run_id: str, entity: str, state: str, target: Connection) -> Iterator[None]:
    """Record an error raised within as the entity's failure.

    Passes on errors about the run itself (RunNotRunning) and those that pass by themselves (a transient SyncError).
    """
    try:
        yield
    except RunNotRunning:
        raise
    except SyncError as error:
        if error.transient:
            raise
        _record(
            RunFailure(run_id=run_id, entity=entity, state=state, error=error.code, cause=str(error)), world, target
        )
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise
        cause = f"A database answered {error.sqlstate} where no row is to blame. Look up the code."
        _record(RunFailure(run_id=run_id, entity=entity, state=state, error="unexpected", cause=cause), world, target)


def _record(failure: RunFailure, world: World, target: Connection) -> None:
    with transaction(target, "target"):
        store.record_failure(target, placed(world, failure))

"""Start a run on the stack's state machine, and ask how it goes."""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.errors import InvalidSchemaName, UndefinedTable

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.load import load
from hybrid_sync.contracts import Profile, Ref, RunRequest
from hybrid_sync.errors import RunNotFound
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.summary import recall
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import Stack, home


@dataclass(frozen=True)
class Execution:
    """One execution of the state machine; `run_id` is its name."""

    run_id: str
    arn: str

    @classmethod
    def of(cls, stack: Stack, run_id: str) -> Execution:
        """The execution of a run that somebody else started."""
        machine = stack.outputs["StateMachineArn"].replace(":stateMachine:", ":execution:")
        return cls(run_id, f"{machine}:{run_id}")


class TargetAway(CliError):
    """The target does not answer, or has stopped to."""


@dataclass(frozen=True)
class Standing:
    """What the state machine says: RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED, and why."""

    status: str
    why: str = ""

    @property
    def running(self) -> bool:
        return self.status == "RUNNING"

    @property
    def succeeded(self) -> bool:
        return self.status == "SUCCEEDED"


def catalog_of_project() -> Catalog:
    """The catalog in the checkout: what the stack was deployed with."""
    return load(home.project_root() / "layers" / "catalog")


def reference(text: str) -> Ref:
    """`payments:17229`, `role_permissions:3,41` (composite) or `case_messages/comment:12` (entity/source)."""
    name, colon, key = text.partition(":")
    entity, _, source = name.partition("/")
    try:
        parts = key.split(",")
        if not colon:
            raise ValueError(text)
        row = {"entity": entity, "legacy_id": parts[0] if len(parts) == 1 else parts, "source": source or None}
        return Ref.model_validate(row)
    except ValueError:
        raise CliError(
            f"{text} names no legacy row: write entity:key as in payments:17229, role_permissions:3,41 for a "
            "composite key, or case_messages/comment:12 where an entity has several sources; a key is a bigint."
        ) from None


def start(stack: Stack, request: RunRequest) -> Execution:
    """Start the run; its id tells profile and time, as in weekly-20261129T010000-4fc1d2."""
    moment = datetime.now(UTC)
    run_id = f"{request.profile}-{moment:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    message = request.model_copy(update={"requested_by": request.requested_by or who()})
    started = stack.client("stepfunctions").start_execution(
        stateMachineArn=stack.outputs["StateMachineArn"],
        name=run_id,
        input=message.model_dump_json(exclude={"run_id"}, exclude_none=True),
    )
    return Execution(run_id, started["executionArn"])


def standing(stack: Stack, execution: Execution) -> Standing:
    """How the execution stands now; `why` is its error and cause, empty unless it failed."""
    answer = stack.client("stepfunctions").describe_execution(executionArn=execution.arn)
    why = ": ".join(part for part in (answer.get("error"), answer.get("cause")) if part)
    return Standing(answer["status"], why)


@contextmanager
def target(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the target for reading the run store, one transaction per statement."""
    try:
        connection = psycopg.connect(stack.target_dsn, connect_timeout=5, autocommit=True)
    except psycopg.OperationalError:
        raise TargetAway("The target database does not answer: start the stack with hybrid-sync up.") from None
    with connection:
        try:
            yield connection
        except psycopg.OperationalError:
            if not connection.broken:
                raise
            raise TargetAway(
                "The target database has broken off, as when it restarts: look again with hybrid-sync status."
            ) from None
        except (InvalidSchemaName, UndefinedTable):
            raise CliError(
                "The target has no complete hybrid_sync schema: create it with hybrid-sync install."
            ) from None


def outcome(stack: Stack, execution: Execution, catalog: Catalog) -> RunSummary:
    """The summary of a run that has ended; CliError with the cause when it ended before it was planned."""
    with target(stack) as connection:
        try:
            return recall(connection, execution.run_id, catalog)
        except RunNotFound:
            failed = connection.execute(
                "select error || ': ' || cause from hybrid_sync.run_failure where run_id = %s "
                "order by failure_id limit 1",
                (execution.run_id,),
            ).fetchone()
    why = failed[0] if failed else standing(stack, execution).why or "the state machine gives no cause"
    raise CliError(f"Run {execution.run_id} failed before it was planned: {why}")


def profile_for(chosen: str | None, request_names_rows: bool) -> Profile:
    """What was asked for, else on_demand for named entities or rows and weekly for everything."""
    if chosen is not None:
        return Profile(chosen)
    return Profile.on_demand if request_names_rows else Profile.weekly


def who() -> str | None:
    """The operator's name on this machine, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return None

"""Failures by name, each with the operator's remedy; only four names cross a Lambda border."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Side = Literal["legacy", "target"]


class SyncError(Exception):
    """A failure that a person can act on.

    `code` is stable and goes into logs, reports and state; `remedy` says what to do about it, in one
    sentence.  Neither may carry a cell value.
    """

    code = "sync_error"
    transient = False
    throttled = False
    """Somebody's capacity is used up: transient, and a matter of minutes rather than of attempts."""
    away = False
    """A database lets nobody in, or has to be spared: transient, and waited for as long as a run may take."""
    needs_person = False
    """Of a database that lets us in no more: it goes on so until somebody has changed a setting."""
    retry_after = 0
    """Seconds after which to ask again, where that is known."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class TransientError(Exception):
    """The name that Step Functions retries: trying again later can help."""


class ThrottledError(Exception):
    """The name that Step Functions retries with patience: it passes when others have done their work."""


class AwayError(Exception):
    """The name that Step Functions retries for hours: a database lets nobody in, or has to be spared, which costs the
    run's clock."""


def is_outage(error: Exception) -> bool:
    """Whether somebody was away or used up: it says nothing of the rows that were to be written."""
    return isinstance(error, SyncError) and error.transient and not isinstance(error, Contention | RecordsStillFail)


def spares_rows(error: Exception) -> bool:
    """Whether no row is to blame: an outage, or something of the deployment, the catalog or a table that a person has
    to mend."""
    return is_outage(error) or isinstance(error, _TO_MEND)


class PermanentError(Exception):
    """The name that Step Functions catches: trying again cannot help."""


class CatalogError(SyncError):
    """A catalog file is wrong; `message` names file and line, `remedy` says what to write instead."""

    code = "catalog_invalid"


class LegacyUnavailable(SyncError):
    code = "legacy_unavailable"
    transient = True


class TargetUnavailable(SyncError):
    code = "target_unavailable"
    transient = True


UNAVAILABLE: dict[Side, type[SyncError]] = {"legacy": LegacyUnavailable, "target": TargetUnavailable}


class ServerUntrusted(SyncError):
    """A database server does not prove by TLS that it is the one that was meant: trying again proves no more."""

    code = "server_untrusted"
    needs_person = True


class AwsUnavailable(SyncError):
    """An AWS service throttles, is down or cannot be reached."""

    code = "aws_unavailable"
    transient = True


class AwsThrottled(AwsUnavailable):
    code = "aws_throttled"
    throttled = True


class TooManyConnections(SyncError):
    """A database or its pooler has no connection left for us."""

    code = "too_many_connections"
    transient = True
    throttled = True


KEPT_OUT = (TargetUnavailable, TooManyConnections)
"""What keeps a view from asking the target; the rest of the view is shown."""


class Contention(SyncError):
    """A deadlock, a lock timeout or a serialisation failure: the same batch succeeds when repeated."""

    code = "contention"
    transient = True


class Locked(Contention):
    """Another session, or a prepared transaction, has held a lock for longer than we wait: often on one table."""


class Moved(Contention):
    """By REST, between two messages: another writer changed what was decided by, so nothing is written."""

    code = "moved"


class StatementTimeout(SyncError):
    """A statement ran for as long as one may: the same again would end the same way."""

    code = "statement_timeout"


class SessionTimedOut(SyncError):
    """A server ended our session by one of its time limits for idle sessions and transactions."""

    code = "session_timed_out"
    transient = True


class StructureMismatch(SyncError):
    """A table, column or type that the catalog names is not there, or does not fit."""

    code = "structure_mismatch"


def together(problems: Sequence[StructureMismatch]) -> StructureMismatch:
    """All of them as one failure: whoever corrects the first should know of the others."""
    first, *others = problems
    if not others:
        return first
    return StructureMismatch(first.message, " ".join([first.remedy, *map(str, others)]).strip())


class MissingPrivilege(SyncError):
    code = "missing_privilege"


class ParentFailed(SyncError):
    """An entity that this one's rows refer to cannot be carried in this run."""

    code = "parent_failed"


class LegacyReplaced(SyncError):
    """Legacy is not the server that the run planned against (failover or restore in mid-run)."""

    code = "legacy_replaced"


class OtherVersion(SyncError):
    """A step of a run is not of the catalog and code that planned the run (a deployment in mid-run)."""

    code = "other_version"


class RunNotRunning(SyncError):
    """The run was cancelled, has ended or is past its deadline: a late invocation must not write."""

    code = "run_not_running"


class RunDeadlineExceeded(RunNotRunning):
    code = "deadline_exceeded"


class EntityHeld(SyncError):
    """A person, or a rollback, holds the entity: nothing is written until it is released."""

    code = "entity_held"


class EntityIncomplete(SyncError):
    """Not every planned batch has been written, or the rows do not add up: the fence stays."""

    code = "entity_incomplete"


class TooManyMovedValues(SyncError):
    """More rows exchange unique values than one transaction may move."""

    code = "too_many_moved_values"


class ForeignKeyUnproven(SyncError):
    """After a first load a foreign key is there again, and rows that are not the load's own break it."""

    code = "foreign_key_unproven"


class IndexUnmade(SyncError):
    """After a first load the server does not make an index or a foreign key again."""

    code = "index_unmade"


class RecordsStillFail(SyncError):
    """A retry wrote what it could, and some of its records failed again: the queue delivers them later."""

    code = "records_still_fail"
    transient = True


class RequestRejected(SyncError):
    """A request for a run that cannot be served, with the reason in words."""

    code = "request_rejected"


class ErasuresBehind(SyncError):
    """The target does not know of everybody who was erased: a run has to repeat those erasures before it writes."""

    code = "erasures_behind"
    transient = True


class RequestForbidden(SyncError):
    """The caller is known, and may not ask for this."""

    code = "request_forbidden"


class RunNotFound(SyncError):
    code = "run_not_found"


def no_such_run(run_id: str) -> RunNotFound:
    return RunNotFound(f"There is no run {run_id}.", "List the recent ones with: hybrid-sync status, or GET /v1/syncs.")


def no_such_part(run_id: str, entity: str) -> RunNotFound:
    """The entity has no part in the run, or its record is gone."""
    return RunNotFound(f"Run {run_id} has no entity {entity}.", "Start the run again.")


class RequestConflicts(SyncError):
    """The same idempotency key was used for another request."""

    code = "request_conflicts"


class QueueFull(SyncError):
    """More jobs wait than may: whoever asks comes again later."""

    code = "queue_full"
    retry_after = 60


class LoadShed(SyncError):
    """A batch that is not begun: a database has trouble, and enough others are at work."""

    code = "load_shed"
    transient = True
    away = True


class SlotsTaken(SyncError):
    """An execution that was started past the gate holds no slot yet: it waits in its first state."""

    code = "slots_taken"
    transient = True
    throttled = True


class NotChecked(SyncError):
    """A scheduled run whose catalog has not passed a check in this deployment."""

    code = "not_checked"


class ConfigurationMissing(SyncError):
    """A setting, a secret or a grant that the deployment should have provided is absent."""

    code = "configuration_missing"
    needs_person = True


class PartMissing(ConfigurationMissing):
    """A table, bucket or queue of the deployment is gone."""

    mark = " is missing ("
    """Part of its sentence, by which whoever reads it among others knows it."""


_TO_MEND = (
    CatalogError, ConfigurationMissing, EntityHeld, LegacyReplaced, MissingPrivilege, OtherVersion, ParentFailed,
    ServerUntrusted, StructureMismatch,
)  # fmt: skip

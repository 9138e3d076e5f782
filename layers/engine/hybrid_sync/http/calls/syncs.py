"""Runs: start one, and ask how it goes."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StrictBool, model_validator

from hybrid_sync.contracts import MAX_REFS, Act, Message, OnFailure, Profile, Ref, RunPriority, RunRequest
from hybrid_sync.entrypoint import logger
from hybrid_sync.errors import (
    KEPT_OUT,
    ConfigurationMissing,
    RequestForbidden,
    RequestRejected,
    RunNotFound,
)
from hybrid_sync.http.call import Call, Reply
from hybrid_sync.http.calls.paths import run_id_of
from hybrid_sync.http.endpoint import Endpoint
from hybrid_sync.http.fields import EntityName, Moment
from hybrid_sync.http.scopes import ERASE, ON_FAILURE, OPERATE, READ, WRITE

if TYPE_CHECKING:
    from hybrid_sync.admission.gate import Standing
    from hybrid_sync.runs.starter import RunState
    from hybrid_sync.services.desk import Desk

_MAX_ENTITIES = 200
_KEY_LETTERS = 255
_LONGEST_REPORT = 63_000


class SyncRequest(Message):
    """The body of POST /v1/syncs: entities, single rows, or both; a `profile` other than on_demand may leave both out.

    `since`/`until` narrow the entities to rows changed in that time; they need a time zone.  `include:
    dependencies` also carries over the rows that the named ones refer to.  `on_failure` says what happens to what a
    failed run has written.  `act`: `erase` the persons to whom the rows belong, or `merge`: legacy has merged the rows
    into others; nothing undoes either.  `dry_run` starts nothing, and says whether the run would have to wait.
    """

    entities: Annotated[tuple[EntityName, ...], Field(max_length=_MAX_ENTITIES)] = ()
    refs: Annotated[tuple[Ref, ...], Field(max_length=MAX_REFS)] = ()
    act: Act = "sync"
    profile: Profile = Profile.on_demand
    priority: RunPriority = RunPriority.normal
    include: Annotated[str | None, Field(pattern="^dependencies$")] = None
    since: Moment | None = None
    until: Moment | None = None
    on_failure: OnFailure = OnFailure.keep
    correlation_id: Annotated[str | None, Field(pattern="^[A-Za-z0-9._:-]{1,128}$")] = None
    dry_run: StrictBool = False

    @model_validator(mode="after")
    def _asks_for_something(self) -> SyncRequest:
        on_demand = self.profile is Profile.on_demand
        if on_demand and not self.entities and not self.refs:
            raise ValueError("name at least one entity in `entities`, or one row in `refs`")
        if self.act != "sync" and (not self.refs or self.entities or self.since or self.until):
            raise ValueError(f"to {self.act}, name rows in `refs` and nothing else")
        if not on_demand and (self.refs or self.since or self.until or self.include):
            raise ValueError("`refs`, `since`, `until` and `include` belong to an on_demand run")
        if self.since and self.until and self.since >= self.until:
            raise ValueError("`since` must be earlier than `until`")
        return self

    def to_run(self) -> RunRequest:
        """The run that does it."""
        return RunRequest(
            profile=self.profile,
            trigger="api",
            priority=self.priority,
            entities=self.entities,
            refs=self.refs,
            act=self.act,
            include=self.include,
            since=_iso(self.since),
            until=_iso(self.until),
            on_failure=self.on_failure,
            correlation_id=self.correlation_id,
        )


class StartedSync(Message):
    """A run that starts as soon as it may, and where to ask how it goes.

    Of a dry run, which is none, only whether it would start or would wait, and `why`.
    """

    run_id: str = ""
    status: str
    status_url: str = ""
    why: str = ""


class EntityProgress(Message):
    """How far one entity of a run is; `batches` is None before its plan, `compared` where nothing is compared."""

    entity: str
    status: str
    batches: int | None
    batches_done: int
    rows_read: int
    rows_failed: int
    compared: int | None = None
    differing: int | None = None
    healed: int = 0


class SyncState(Message):
    """How far a run is; its report whole, or without its lists where an answer cannot hold them (`report_cut`).

    One that waits has its `place` in the queue, and `why`; one that another run answers for, which waited for the same
    rows, is as that run is (`answered_by`).  `entities` is None where the target does not answer.
    """

    run_id: str
    status: str
    place: int | None = None
    why: str = ""
    answered_by: str = ""
    started_at: str | None
    finished_at: str | None
    entities: tuple[EntityProgress, ...] | None = None
    report: dict[str, Any] | None
    report_cut: tuple[str, ...] = ()


ENDPOINTS = (
    Endpoint(
        "start_sync", "syncs", "POST", "/v1/syncs", WRITE, "Start a run, once for each Idempotency-Key",
        StartedSync, body=SyncRequest, status=HTTPStatus.ACCEPTED, otherwise=HTTPStatus.OK,
        idempotent=True,
    ),
    Endpoint("show_sync", "syncs", "GET", "/v1/syncs/{run_id}", READ, "How far a run is", SyncState),
)  # fmt: skip


def start_sync(desk: Desk, call: Call) -> Reply:
    """Accept a run, once for each caller and Idempotency-Key; a dry run is only judged."""
    from hybrid_sync.services.starts import start

    asked: SyncRequest = call.body
    _require_scopes(asked, call.scopes)
    name = _name(call.caller.who, call.headers.get("idempotency-key"))
    who = call.caller.who
    started = start(desk, name, asked.to_run(), who, dry_run=asked.dry_run)
    facts = {"run_id": name, "priority": asked.priority, "refs": len(asked.refs), "status": started.status}
    logger.info("run asked for", extra=facts)
    if asked.dry_run:
        return Reply(StartedSync(status=started.status, why=started.why), HTTPStatus.OK)
    url = call.link(f"/v1/syncs/{name}")
    return Reply(StartedSync(run_id=name, status=started.status, status_url=url), location=url)


def show_sync(desk: Desk, call: Call) -> Reply:
    """RunNotFound where neither the gate nor the state machine knows it."""
    run_id = run_id_of(call)
    standing, state = _known(desk, run_id)
    report = _report(desk, state) if state is not None and state.finished_at is not None else None
    whole, cut = _report_without(report)
    job = standing.job if standing else None
    ended_at = (state and state.finished_at) or (job and job.ended_at)
    return Reply(
        SyncState(
            run_id=run_id,
            status=_status(desk, state, report) if state else job.status if job else "",
            place=standing.place if standing else None,
            why=standing.why if standing else "",
            answered_by=job.into if job else "",
            started_at=state.started_at.isoformat() if state else None,
            finished_at=ended_at.isoformat() if ended_at else None,
            entities=_entities(desk, state.run_id) if state else (),
            report=whole,
            report_cut=cut,
        )
    )


def _require_scopes(asked: SyncRequest, scopes: frozenset[str]) -> None:
    """RequestForbidden for what a token that may start runs may not yet ask for."""
    if asked.on_failure is not OnFailure.keep and ON_FAILURE not in scopes:
        raise RequestForbidden(
            f"This token may start runs, and not say what becomes of a failed one ({asked.on_failure}).",
            f"Leave on_failure out, or use a token with the scope {ON_FAILURE}.",
        )
    if asked.act != "sync" and ERASE not in scopes:
        raise RequestForbidden(
            f"This token may start runs, and {asked.act} nobody.",
            f"Leave act out, or use a token with the scope {ERASE}.",
        )
    if asked.profile is not Profile.on_demand and OPERATE not in scopes:
        raise RequestForbidden(
            f"This token may start on-demand runs, and no {asked.profile} run.",
            f"Leave profile out, or use a token with the scope {OPERATE}.",
        )


def _known(desk: Desk, run_id: str) -> tuple[Standing | None, RunState | None]:
    """The job, and the run that it is or is answered by once that has begun; RunNotFound where there is neither.

    A run that was started past the gate is no job, and one that ended long ago is forgotten as such.
    """
    try:
        standing = desk.gate.standing(run_id)
    except RunNotFound:
        return None, _state(desk, run_id)
    try:
        return standing, desk.executions.state(standing.job.into or run_id)
    except RunNotFound:
        return standing, None


def _state(desk: Desk, run_id: str) -> RunState:
    """A rollback has no execution, and one that ended 90 days ago is forgotten: the target knows them."""
    from hybrid_sync.runs.starter import RunState
    from hybrid_sync.services.listing import recorded

    try:
        return desk.executions.state(run_id)
    except RunNotFound:
        run = recorded(desk, run_id)
    return RunState(run_id, run.status, run.started_at or desk.now(), run.finished_at)


def _entities(desk: Desk, run_id: str) -> tuple[EntityProgress, ...] | None:
    """The entities of the run; None while the target is away, and the answer says the rest."""
    from hybrid_sync.services import progress
    from hybrid_sync.services.desk import at_target

    try:
        with at_target(desk) as target:
            steps = progress.steps(desk, target, run_id)
    except (*KEPT_OUT, ConfigurationMissing):
        return None
    return tuple(
        EntityProgress(
            entity=step.entity, status=step.status, batches=step.planned, batches_done=step.done, rows_read=step.rows,
            rows_failed=step.failed, compared=step.compared, differing=step.differing, healed=step.healed,
        )
        for step in steps
    )  # fmt: skip


def _report(desk: Desk, state: RunState) -> dict[str, Any] | None:
    stored = desk.reports.stored(state.run_id)
    return stored[0] if stored else None


def _status(desk: Desk, state: RunState, report: Mapping[str, Any] | None) -> str:
    """As the run's report says, which knows more than its execution: a degraded run's flow has done its work."""
    if report is None and state.status == "succeeded":
        return _recorded_status(desk, state.run_id)
    value = str(report.get("status")) if report else ""
    return value if value == "rolled_back" or (value and state.status == "succeeded") else state.status


def _recorded_status(desk: Desk, run_id: str) -> str:
    """Status of a run without a report in the bucket (any more); `ended` where it is not known how."""
    from hybrid_sync.services.listing import recorded

    try:
        return recorded(desk, run_id).status
    except (*KEPT_OUT, ConfigurationMissing, RunNotFound):
        return "ended"


def _report_without(report: dict[str, Any] | None) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The report whole, or without its lists where it is longer than an answer may be, and the names of these."""
    if report is None or len(json.dumps(report)) <= _LONGEST_REPORT:
        return report, ()
    kept = {name: value for name, value in report.items() if not isinstance(value, list | dict)}
    return kept, tuple(sorted(report.keys() - kept.keys()))


def _name(caller: str, idempotency_key: str | None) -> str:
    """The execution's name: the same for the same caller and key, so a repeated request starts one run."""
    if idempotency_key is None:
        return f"api-{secrets.token_hex(12)}"
    if not 0 < len(idempotency_key) <= _KEY_LETTERS:
        raise RequestRejected("The Idempotency-Key is empty or too long.", f"Use 1 to {_KEY_LETTERS} letters.")
    digest = hashlib.sha256(f"{caller}\n{idempotency_key}".encode(errors="replace")).hexdigest()
    return f"api-{digest[:40]}"


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()

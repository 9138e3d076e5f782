"""Runs: start one, and ask how it goes."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from hybrid_sync.admission.gate import Standing
from hybrid_sync.contracts import OnFailure, Profile
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
from hybrid_sync.http.models import EntityProgress, StartedSync, SyncState
from hybrid_sync.http.requests import SyncRequest
from hybrid_sync.http.scopes import ERASE, ON_FAILURE, OPERATE
from hybrid_sync.runs.starter import RunState
from hybrid_sync.services import progress
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.listing import recorded
from hybrid_sync.services.starts import start

_KEY_LETTERS = 255
_LONGEST_REPORT = 63_000


def start_sync(desk: Desk, call: Call) -> Reply:
    """Accept a run, once for each caller and Idempotency-Key; a dry run is only judged."""
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
    try:
        return desk.executions.state(run_id)
    except RunNotFound:
        run = recorded(desk, run_id)
    return RunState(run_id, run.status, run.started_at or desk.now(), run.finished_at)


def _entities(desk: Desk, run_id: str) -> tuple[EntityProgress, ...] | None:
    """The entities of the run; None while the target is away, and the answer says the rest."""
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

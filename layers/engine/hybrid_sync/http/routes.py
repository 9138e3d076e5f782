"""The HTTP trigger's routes: start a run, ask how it goes, ask whether anybody is there."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from hybrid_sync.admission.gate import Standing
from hybrid_sync.admission.job import Job
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.contracts import Message, OnFailure, RunRequest
from hybrid_sync.entrypoint import logger, parsed
from hybrid_sync.errors import RequestForbidden, RequestRejected, RunNotFound
from hybrid_sync.http.answers import headers, read, refusal
from hybrid_sync.http.endpoints import (
    ENDPOINTS,
    HEALTH,
    SHOW,
    START,
    Endpoint,
    Health,
    StartedSync,
    SyncState,
)
from hybrid_sync.http.requests import SyncRequest
from hybrid_sync.http.tokens import ON_FAILURE
from hybrid_sync.runs.starter import RunState
from hybrid_sync.world import Reports

_RUN_ID = re.compile(r"^[A-Za-z0-9_-]{1,80}$")
_KEY_LETTERS = 255
_LONGEST_ANSWER = 64_000


class Gate(Protocol):
    """Where everything that starts is admitted."""

    def add(self, request: RunRequest, job_id: str, caller: str) -> Job: ...

    def standing(self, job_id: str) -> Standing: ...


class Runs(Protocol):
    """The state machine's executions."""

    def state(self, run_id: str) -> RunState: ...


class Api:
    """The routes over a catalog, the gate, the runs and their stored reports."""

    def __init__(self, catalog: Catalog, gate: Gate, runs: Runs, reports: Reports) -> None:
        self._catalog = catalog
        self._gate = gate
        self._runs = runs
        self._reports = reports
        self._app = APIGatewayRestResolver()
        calls: dict[Endpoint, Callable[..., Message]] = {START: self._start, SHOW: self._show, HEALTH: self._health}
        for endpoint in ENDPOINTS:
            self._app.route(endpoint.rule, method=endpoint.method)(self._bound(endpoint, calls[endpoint]))
        self._app.exception_handler(Exception)(_refused)
        self._app.not_found(_unknown)

    def resolve(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """One request in, one response out; no exception leaves."""
        return self._app.resolve(event, context)

    def _bound(self, endpoint: Endpoint, call: Callable[..., Message]) -> Callable[..., Response[str]]:
        """The call with the request's body as the endpoint's model, and its answer as a response."""

        def answered(**parameters: str) -> Response[str]:
            given = () if endpoint.body is None else (parsed(endpoint.body, read(self._app.current_event.raw_event)),)
            return _answer(endpoint.status, call(*given, **parameters).model_dump(mode="json"))

        return answered

    def _start(self, asked: SyncRequest) -> StartedSync:
        event = self._app.current_event
        caller = str(event.request_context.authorizer.principal_id or "unknown")
        if asked.on_failure is not OnFailure.keep and ON_FAILURE not in _scopes(event):
            raise RequestForbidden(
                f"This token may start runs, and not say what becomes of a failed one ({asked.on_failure}).",
                f"Leave on_failure out, or use a token with the scope {ON_FAILURE}.",
            )
        request = asked.to_run(self._catalog, requested_by=caller)
        name = _name(caller, event.headers.get("Idempotency-Key"))
        job = self._gate.add(request, name, caller)
        facts = {"run_id": name, "priority": request.priority, "refs": len(request.refs), "status": job.status}
        logger.info("run asked for", extra=facts)
        return StartedSync(run_id=name, status_url=self._url_of(name))

    def _show(self, run_id: str) -> SyncState:
        if not _RUN_ID.match(run_id):
            raise RunNotFound("That is no run id.", "Ask for the run_id that POST /v1/syncs returned.")
        standing, state = self._known(run_id)
        report = self._reports.read(state.run_id) if state is not None and state.finished_at is not None else None
        whole, cut = _reported(report)
        job = standing.job if standing else None
        ended_at = (state and state.finished_at) or (job and job.ended_at)
        return SyncState(
            run_id=run_id,
            status=_status(state, report) if state else job.status if job else "",
            place=standing.place if standing else None,
            why=standing.why if standing else "",
            answered_by=job.into if job else "",
            started_at=state.started_at.isoformat() if state else None,
            finished_at=ended_at.isoformat() if ended_at else None,
            report=whole,
            report_cut=cut,
        )

    def _known(self, run_id: str) -> tuple[Standing | None, RunState | None]:
        """The job, and the run that it is or is answered by once that has begun; RunNotFound where there is neither.

        A run that was started past the gate is no job, and one that ended long ago is forgotten as such.
        """
        try:
            standing = self._gate.standing(run_id)
        except RunNotFound:
            return None, self._runs.state(run_id)
        try:
            return standing, self._runs.state(standing.job.into or run_id)
        except RunNotFound:
            return standing, None

    def _health(self) -> Health:
        return Health(status="ok", entities=len(self._catalog.entities))

    def _url_of(self, run_id: str) -> str:
        """Absolute where the request names our host; else below the address that the caller knows."""
        context = self._app.current_event.request_context
        base = f"https://{context.domain_name}/{context.stage}" if context.domain_name else ""
        return f"{base}/v1/syncs/{run_id}"


def _scopes(event: APIGatewayProxyEvent) -> list[str]:
    """What the authorizer has found the token to be allowed, beside its routes."""
    value = event.request_context.authorizer.get("scopes", "")
    return str(value or "").split()


def _status(state: RunState, report: Mapping[str, Any] | None) -> str:
    """As the run's report says, which knows more than its execution: a degraded run's flow has done its work."""
    value = str(report.get("status")) if report else ""
    return value if value == "rolled_back" or (value and state.status == "succeeded") else state.status


def _reported(report: dict[str, Any] | None) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The report whole, or without its lists where it is longer than an answer may be, and the names of these."""
    if report is None or len(json.dumps(report)) <= _LONGEST_ANSWER - 1_000:
        return report, ()
    kept = {name: value for name, value in report.items() if not isinstance(value, list | dict)}
    return kept, tuple(sorted(report.keys() - kept.keys()))


def _name(caller: str, idempotency_key: str | None) -> str:
    """The execution's name: the same for the same caller and key, so a repeated request starts one run."""
    if idempotency_key is None:
        return f"api-{secrets.token_hex(12)}"
    if not 0 < len(idempotency_key) <= _KEY_LETTERS:
        raise RequestRejected("The Idempotency-Key is empty or too long.", f"Use 1 to {_KEY_LETTERS} letters.")
    digest = hashlib.sha256(f"{caller}\n{idempotency_key}".encode()).hexdigest()
    return f"api-{digest[:40]}"


def _refused(error: Exception) -> Response[str]:
    return _answer(*refusal(error), headers(error))


def _unknown(_: Exception) -> Response[str]:
    return _answer(
        HTTPStatus.NOT_FOUND,
        {"error": "not_found", "message": "There is nothing at this address.", "remedy": "See POST /v1/syncs."},
    )


def _answer(status: HTTPStatus, body: dict[str, Any], said: dict[str, str] | None = None) -> Response[str]:
    return Response(int(status), content_type="application/json", body=json.dumps(body), headers=said or headers())

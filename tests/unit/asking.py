"""The HTTP API over a deployment without a target: events as API Gateway makes them, and what is behind the API."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from hybrid_sync.admission.gate import Standing
from hybrid_sync.admission.job import Job, JobState, new_job
from hybrid_sync.admission.order import Slots
from hybrid_sync.breaker.state import SIDES, Breaker, refusal
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.load import load
from hybrid_sync.contracts import RollbackOutcome, RollbackTask, RunRequest
from hybrid_sync.errors import LegacyUnavailable, RequestConflicts, RunNotFound, Side, TargetUnavailable
from hybrid_sync.http.endpoints import ENDPOINTS
from hybrid_sync.http.routes import Api
from hybrid_sync.postgres import Connection
from hybrid_sync.runs.starter import RunState
from hybrid_sync.steps.rollback_run import rollback_run
from tests.engine.worlds import EngineWorld

CATALOG: Catalog = load(Path("layers/catalog"))
STARTED = datetime(2026, 11, 29, 1, 0, tzinfo=UTC)


class Starter:
    """Jobs and their runs by name; each is admitted at once, and the same name and request are one."""

    def __init__(self) -> None:
        self.runs: dict[str, RunRequest] = {}
        self.states: dict[str, RunState] = {}
        self.waiting: dict[str, Standing] = {}
        self.paused = ""

    def add(self, request: RunRequest, job_id: str, caller: str) -> Job:
        if self.runs.setdefault(job_id, request) != request:
            raise RequestConflicts("This idempotency key was used for a different request.")
        self.states[job_id] = RunState(job_id, "running", STARTED, None)
        return self.standing(job_id).job

    def at_work(self) -> tuple[list[Standing], int, Slots]:
        return [*self.waiting.values(), *map(self.standing, self.runs)], len(self.waiting), Slots(0, {}, self.paused)

    def cancel(self, job_id: str, who: str) -> Job:
        return self.standing(job_id).job

    def stop(self, name: str) -> bool:
        return False

    def preview(self, request: RunRequest) -> str:
        return "3 runs are at work." if self.waiting else ""

    def standing(self, job_id: str) -> Standing:
        if job_id in self.waiting:
            return self.waiting[job_id]
        if job_id not in self.runs:
            raise RunNotFound(f"There is no run {job_id}.")
        return Standing(replace(new_job(job_id, self.runs[job_id], "caller", STARTED), state=JobState.admitted))

    def state(self, run_id: str) -> RunState:
        if run_id not in self.states:
            raise RunNotFound(f"There is no run {run_id}.")
        return self.states[run_id]


class KeptReports:
    """The reports in S3."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}

    def write(self, run_id: str, document: dict[str, Any]) -> None:
        self.documents[run_id] = document

    def stored(self, run_id: str) -> tuple[dict[str, Any], datetime] | None:
        found = self.documents.get(run_id)
        return (found, STARTED) if found is not None else None


class Undo:
    """The function that undoes runs."""

    def __init__(self, world: EngineWorld | None) -> None:
        self._world = world

    def some(self, task: RollbackTask) -> RollbackOutcome | None:
        if self._world is None:
            raise TargetUnavailable("The target is away.")
        return rollback_run(self._world, task)


class Breakers:
    """Closed, unless a test opens one."""

    def __init__(self) -> None:
        self.open: dict[Side, Breaker] = {}

    def both(self) -> dict[Side, Breaker]:
        return {side: self.open.get(side, Breaker()) for side in SIDES}


class Desk:
    """The API, and everything behind it; without a world both databases are away."""

    def __init__(self, world: EngineWorld | None = None) -> None:
        self.world = world
        self.catalog = world.catalog if world else CATALOG
        self.gate = self.executions = self.starter = Starter()
        self.breakers = Breakers()
        self.reports = KeptReports()
        self.undo = Undo(world)
        self.api = Api(self)  # type: ignore[arg-type] # no call needs all parts

    def connect_target(self) -> Connection:
        if (breaker := self.breakers.both()["target"]).away_since is not None:
            raise refusal("target", breaker, self.now())
        if self.world is None:
            raise TargetUnavailable("The target is away.")
        return self.world.connect_target()

    def connect_legacy(self) -> Connection:
        if self.world is None:
            raise LegacyUnavailable("Legacy is away.")
        return self.world.connect_legacy()

    def now(self) -> datetime:
        return STARTED

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        text = body if isinstance(body, str) else None if body is None else json.dumps(body)
        return self.send(event(method, path, text, headers))

    def send(self, given: dict[str, Any]) -> tuple[int, Any]:
        answer = self.api.resolve(given)
        return answer["statusCode"], json.loads(answer["body"])

    def only_run(self) -> RunRequest:
        [request] = self.starter.runs.values()
        return request


def event(method: str, path: str, body: str | None, headers: dict[str, str]) -> dict[str, Any]:
    path, _, query = path.partition("?")
    resource, parameters = matched(path)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": named,
        "multiValueHeaders": {name: [value] for name, value in named.items()},
        "queryStringParameters": {name: values[-1] for name, values in parse_qs(query).items()} or None,
        "multiValueQueryStringParameters": parse_qs(query, keep_blank_values=True) or None,
        "pathParameters": parameters or None,
        "body": body,
        "isBase64Encoded": False,
        "requestContext": {
            "authorizer": {"principalId": "token-1"},
            "domainName": "abc.execute-api.us-east-1.amazonaws.com",
            "stage": "live",
            "path": f"/live{path}",
            "requestId": "1",
        },
    }


def matched(path: str) -> tuple[str, dict[str, str]]:
    """The endpoint's path that API Gateway finds, and what stands in it; the path itself where it finds none."""
    for endpoint in ENDPOINTS:
        found = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", endpoint.path), path)
        if found:
            return endpoint.path, found.groupdict()
    return path, {}

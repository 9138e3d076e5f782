"""What the HTTP API offers: the one table from which authorizer, routes, OpenAPI document and checks follow."""

from __future__ import annotations

from http import HTTPStatus

from hybrid_sync.http import models, requests
from hybrid_sync.http.endpoint import Endpoint
from hybrid_sync.http.scopes import READ, WRITE

ENDPOINTS = (
    Endpoint(
        "start_sync", "syncs", "POST", "/v1/syncs", WRITE, "Start a run, once for each Idempotency-Key",
        models.StartedSync, body=requests.SyncRequest, status=HTTPStatus.ACCEPTED, otherwise=HTTPStatus.OK,
    ),
    Endpoint("show_sync", "syncs", "GET", "/v1/syncs/{run_id}", READ, "How far a run is", models.SyncState),
    Endpoint("health", "health", "GET", "/v1/health", None, "Whether the deployment is well", models.Health),
)  # fmt: skip

"""What the HTTP API offers: the one table from which authorizer, routes, OpenAPI document and checks follow."""

from __future__ import annotations

from http import HTTPStatus

from hybrid_sync.http import models, requests
from hybrid_sync.http.endpoint import Endpoint
from hybrid_sync.http.scopes import OPERATE, READ, WRITE
from hybrid_sync.recorded.levels import Levels
from hybrid_sync.services.messages import answers
from hybrid_sync.tuning import model as tuning

OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
ENDPOINTS = (
    Endpoint(
        "start_sync", "syncs", "POST", "/v1/syncs", WRITE, "Start a run, once for each Idempotency-Key",
        models.StartedSync, body=requests.SyncRequest, status=HTTPStatus.ACCEPTED, otherwise=HTTPStatus.OK,
        idempotent=True,
    ),
    Endpoint(
        "list_syncs", "listing", "GET", "/v1/syncs", READ, "Runs that wait, run and have ended",
        models.Syncs, query=requests.SyncsQuery,
    ),
    Endpoint("show_sync", "syncs", "GET", "/v1/syncs/{run_id}", READ, "How far a run is", models.SyncState),
    Endpoint(
        "cancel_sync", "operating", "POST", "/v1/syncs/{run_id}/cancel", OPERATE, "End a run in whatever state it is",
        models.CancelledSync,
    ),
    Endpoint(
        "roll_back_sync", "operating", "POST", "/v1/syncs/{run_id}/rollback", OPERATE,
        "Undo what a run wrote, or say what that would be",
        models.SyncRollback, body=requests.RollbackRequest, status=HTTPStatus.ACCEPTED, otherwise=HTTPStatus.OK,
    ),
    Endpoint(
        "release_sync", "operating", "POST", "/v1/syncs/{run_id}/release", OPERATE,
        "Release what a run, or its rollback, holds", answers.Released,
    ),
    Endpoint(
        "show_performance", "measuring", "GET", "/v1/syncs/{run_id}/performance", READ,
        "Where a run's time went, and what held it up", tuning.PerformanceAnswer,
    ),
    Endpoint(
        "show_usage", "measuring", "GET", "/v1/usage", READ,
        "Who asks for what, how often each entity is carried, and which schedule would fit it better",
        tuning.UsageAnswer, query=requests.UsageQuery,
    ),
    Endpoint("list_holds", "operating", "GET", "/v1/holds", READ, "Entities that are held", answers.Holds),
    Endpoint(
        "list_failures", "records", "GET", "/v1/failures", READ, "Legacy rows that could not be written",
        models.FailedRecords, query=requests.FailuresQuery,
    ),
    Endpoint(
        "redrive_failures", "records", "POST", "/v1/failures/redrive", OPERATE, "Try failed records again",
        models.RedrivenRecords, body=requests.RedriveRequest, status=HTTPStatus.ACCEPTED,
    ),
    Endpoint(
        "accept_failures", "records", "POST", "/v1/failures/accept", OPERATE, "Let failed records stay as they are",
        answers.Accepted, body=requests.AcceptRequest,
    ),
    Endpoint(
        "show_record", "records", "GET", "/v1/records/{entity}/{key}", READ, "The life of one legacy row",
        answers.History, query=requests.RecordQuery,
    ),
    Endpoint(
        "list_freshness", "freshness", "GET", "/v1/freshness", READ, "How fresh each entity is",
        answers.FreshnessAnswer,
    ),
    Endpoint(
        "route_entity", "freshness", "GET", "/v1/entities/{entity}/route", READ,
        "Whether to read an entity from the target or from legacy", answers.Route, query=requests.RouteQuery,
    ),
    Endpoint(
        "show_levels", "levels", "GET", "/v1/levels", READ, "Which goals are met, missed or not measured", Levels,
    ),
    Endpoint(
        "show_metrics", "metrics", "GET", "/v1/metrics", READ, "The deployment's own numbers, as OpenMetrics", None,
        media=OPEN_METRICS,
    ),
    Endpoint(
        "health", "health", "GET", "/v1/health", None, "Whether the deployment is well",
        answers.Health, otherwise=HTTPStatus.SERVICE_UNAVAILABLE,
    ),
    Endpoint("open_api", "describing", "GET", "/openapi.json", None, "This API as an OpenAPI 3.1 document", None),
    Endpoint("docs", "describing", "GET", "/docs", None, "This API as a page to read", None, media="text/html"),
)  # fmt: skip

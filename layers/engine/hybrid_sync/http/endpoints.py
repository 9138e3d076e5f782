"""What the HTTP API offers: the one table from which authorizer, routes, OpenAPI document and checks follow."""

from __future__ import annotations

from hybrid_sync.http.calls import freshness, health, levels, listing, measuring, metrics, operating, records, syncs
from hybrid_sync.http.endpoint import Endpoint

_ABOUT_ITSELF = (
    Endpoint("open_api", "describing", "GET", "/openapi.json", None, "This API as an OpenAPI 3.1 document", None),
    Endpoint("docs", "describing", "GET", "/docs", None, "This API as a page to read", None, media="text/html"),
)  # fmt: skip

ENDPOINTS: tuple[Endpoint, ...] = (
    *syncs.ENDPOINTS,
    *listing.ENDPOINTS,
    *operating.ENDPOINTS,
    *measuring.ENDPOINTS,
    *records.ENDPOINTS,
    *freshness.ENDPOINTS,
    *levels.ENDPOINTS,
    *metrics.ENDPOINTS,
    *health.ENDPOINTS,
    *_ABOUT_ITSELF,
)

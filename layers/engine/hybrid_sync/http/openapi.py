"""The API as an OpenAPI 3.1 document, made of the endpoints' table and its models: it cannot say anything else."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal

from pydantic.json_schema import models_json_schema

from hybrid_sync.contracts import Message
from hybrid_sync.http.endpoint import Endpoint
from hybrid_sync.http.endpoints import ENDPOINTS
from hybrid_sync.http.problems import MEDIA, Problem

Json = dict[str, Any]
_PLACE = "#/components/schemas/{model}"
_PATTERNS = {
    "run_id": "^[A-Za-z0-9_-]{1,120}$",
    "entity": "^[a-z_][a-z0-9_]{0,62}$",
    "key": "^-?[0-9]{1,18}(,-?[0-9]{1,18}){0,15}$",
}
"""Of what stands in a path; whatever else stands there is not found."""
_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same caller, key and request are one run, however often they are sent.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_ABOUT = """Keeps a Supabase database in step with a legacy PostgreSQL: start runs, follow and undo them, ask what is
fresh.

Every refusal is a problem (RFC 9457) with a stable `code`, a `detail` and a `remedy`.  No answer holds a value of a
row."""


def document(base: str) -> Json:
    """For a deployment whose API begins with `base`."""
    asked = [e.body for e in ENDPOINTS if e.body] + [e.query for e in ENDPOINTS if e.query]
    answered = [e.answer for e in ENDPOINTS if e.answer] + [Problem]
    schemas = {**_schemas(asked, "validation"), **_schemas(answered, "serialization")}
    queries = {e.query.__name__ for e in ENDPOINTS if e.query}
    paths: dict[str, Json] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "hybrid-sync", "version": "1", "description": _ABOUT},
        "servers": [{"url": base or "/"}],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in sorted(schemas.items()) if name not in queries},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A service token (`hybrid-sync tokens create`) or the JWT of whoever has signed in.",
                }
            },
        },
    }


def _schemas(models: list[type[Message]], mode: Literal["validation", "serialization"]) -> Json:
    unique = list(dict.fromkeys(models))
    return dict(models_json_schema([(model, mode) for model in unique], ref_template=_PLACE)[1].get("$defs", {}))


def _operation(endpoint: Endpoint, schemas: Json) -> Json:
    scope = f" Needs the scope `{endpoint.scope}`." if endpoint.scope else " Open to everybody."
    parameters = [_in_path(name) for name in endpoint.parameters]
    parameters += _in_query(schemas[endpoint.query.__name__]) if endpoint.query else []
    parameters += [_KEY] if endpoint.idempotent else []
    operation: Json = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "description": f"{endpoint.summary}.{scope}",
        "tags": [endpoint.path.split("/")[2] if endpoint.path.startswith("/v1/") else "about"],
        "security": [{"bearer": [endpoint.scope]}] if endpoint.scope else [],
        "parameters": parameters,
        "responses": _responses(endpoint),
    }
    if endpoint.body is not None:
        content = {"application/json": {"schema": _of(endpoint.body)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _in_path(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": _PATTERNS[name]}}


def _in_query(schema: Json) -> list[Json]:
    """Each field is a parameter; one that may be None is simply left out."""
    return [
        {"name": name, "in": "query", "required": False, "schema": _without_null(field)}
        for name, field in schema["properties"].items()
    ]


def _without_null(field: Json) -> Json:
    given = [one for one in field.get("anyOf", ()) if one != {"type": "null"}]
    kept = {name: value for name, value in field.items() if name not in ("anyOf", "title", "default")}
    default = {"default": field["default"]} if field.get("default") is not None else {}
    return {**kept, **(given[0] if len(given) == 1 else {}), **default}


def _responses(endpoint: Endpoint) -> Json:
    answered = {endpoint.media: {"schema": _of(endpoint.answer) if endpoint.answer else _text(endpoint.media)}}
    found: Json = {str(int(endpoint.status)): {"description": endpoint.status.phrase, "content": answered}}
    if endpoint.status is HTTPStatus.ACCEPTED and endpoint.otherwise is not None:
        link = {"description": "Where the state of the run is", "schema": {"type": "string", "format": "uri"}}
        found[str(int(endpoint.status))]["headers"] = {"Location": {**link, "required": True}}
    if endpoint.idempotent:
        of = {"run_id": "$response.body#/run_id"}
        found[str(int(endpoint.status))]["links"] = {"show": {"operationId": "show_sync", "parameters": of}}
    if endpoint.otherwise is not None:
        found[str(int(endpoint.otherwise))] = {"description": endpoint.otherwise.phrase, "content": answered}
    for status in _refusals(endpoint):
        # A status may be both: a deployment that is down, and one that could not even look.
        known = found.setdefault(str(int(status)), {"description": status.phrase, "content": {}})
        known["content"] = {**known["content"], MEDIA: {"schema": _of(Problem)}}
    return found


def _refusals(endpoint: Endpoint) -> list[HTTPStatus]:
    """With what it may refuse, the gateway's own refusals included."""
    always = [
        HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    ]  # fmt: skip
    secured = [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN] if endpoint.scope else []
    asked = [HTTPStatus.UNPROCESSABLE_ENTITY] if endpoint.scope else []
    body = [HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE] if endpoint.body else []
    again = [HTTPStatus.CONFLICT] if endpoint.idempotent else []
    return [*body, *secured, HTTPStatus.NOT_FOUND, *again, *asked, *always]


def _of(model: type[Message]) -> Json:
    return {"$ref": _PLACE.format(model=model.__name__)}


def _text(media: str) -> Json:
    return {"type": "object"} if media == "application/json" else {"type": "string"}

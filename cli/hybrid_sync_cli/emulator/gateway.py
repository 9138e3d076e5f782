"""Where ministack's API Gateway differs from AWS's in what this template and its functions use."""

from __future__ import annotations

import re
import time
from typing import Any

EXTENSION = "x-amazon-apigateway-gateway-responses"


def import_gateway_responses(gateway: Any) -> None:
    """An imported OpenAPI body may bring gateway responses, as SAM's does."""
    original = gateway._import_rest_api

    def imported(spec: dict[str, Any], base_data: Any = None) -> Any:
        api_id = original(spec, base_data)
        for kind, response in (spec.get(EXTENSION) or {}).items():
            status, _, body = gateway._put_gateway_response(api_id, kind, response)
            if status >= 400:
                raise ValueError(f"{kind} is no gateway response: {body!r}")
        return api_id

    gateway._import_rest_api = imported


def pass_addresses(gateway: Any) -> None:
    """A function is told the host, the scheme and the whole path that were asked for."""
    original = gateway._build_lambda_event_v1

    def built(api_id: str, stage_name: str, *rest: Any, **more: Any) -> dict[str, Any]:
        event: dict[str, Any] = original(api_id, stage_name, *rest, **more)
        headers = {name.lower(): value for name, value in (event["headers"] or {}).items()}
        host, context = str(headers.get("host", "")), event["requestContext"]
        context["domainName"] = host
        event["headers"]["X-Forwarded-Proto"] = "http"
        event["multiValueHeaders"]["X-Forwarded-Proto"] = ["http"]
        if not re.match(rf"{api_id}\.execute-api\.", host):
            context["path"] = f"/_aws/execute-api/{api_id}{context['path']}"
        return event

    gateway._build_lambda_event_v1 = built


def count_answers(app: Any, gateway: Any, cloudwatch: Any, responses: Any) -> None:
    """Each answer of a REST API is counted in CloudWatch, as on AWS; those of the gateway itself, too."""
    original = app._handle_execute_api_request

    async def answered(host: str, path: str, *rest: Any, **more: Any) -> Any:
        answer = await original(host, path, *rest, **more)
        asked = app._parse_execute_api_url(host, path)
        if answer and asked and (scope := gateway.find_api_scope(asked[0])):
            account, region = scope
            name = gateway._rest_apis.get_scoped(account, region, asked[0])["name"]
            failed = {"4XXError": 400 <= answer[0] < 500, "5XXError": answer[0] >= 500}
            with responses.request_scope(account, region):
                for metric, value in {"Count": True, **failed}.items():
                    cloudwatch._store_datum(
                        "AWS/ApiGateway", metric, {"ApiName": name}, time.time(), "Count", value, None, None, None
                    )
        return answer

    app._handle_execute_api_request = answered

"""What API Gateway asks of a REST API's REQUEST authorizer, and ministack does not.

CreateAuthorizer, `identitySource`: with a cache it is required; where it is given each of its parameters must be there,
or the answer is 401 and the function is not called, with a cache or without.  "Output from a Lambda authorizer": values
of `context` are strings, numbers and booleans, and anything else is an authorizer that is configured wrong.
"""

from __future__ import annotations

from typing import Any

from hybrid_sync_cli.emulator.refusals import AUTHORIZER, record

_UNAUTHORIZED = {"error": True, "body": {"errorMessage": "Unauthorized"}}
_WRONG = {"body": "no policy"}
_HEADER = "method.request.header."


def judge_authorizers(gateway: Any) -> None:
    """Check the authorizer before its function is called, and what that answers."""
    original, named = gateway._invoke_authorizer_lambda, gateway._import_identity_source

    def imported(scheme: dict[str, Any], extension: dict[str, Any]) -> str:
        # SAM writes a header named "Unused" where a REQUEST authorizer has no identity source, which it may not have.
        if extension.get("type") == "request":
            return str(extension.get("identitySource") or "")
        return str(named(scheme, extension))

    async def invoke(authorizer: dict[str, Any], event: dict[str, Any], *scope: Any) -> Any:
        if event["type"] == "REQUEST":
            sources = [part.strip() for part in (authorizer.get("identitySource") or "").split(",") if part.strip()]
            if not sources and gateway._authorizer_ttl(authorizer):
                record(AUTHORIZER, why="a cache without an identity source")
                return _WRONG
            if not all(_is_there(source, event) for source in sources):
                return _UNAUTHORIZED
        result = await original(authorizer, event, *scope)
        body = result.get("body") if result else None
        context = body.get("context") if isinstance(body, dict) else None
        if any(not isinstance(value, str | int | float) for value in (context or {}).values()):
            record(AUTHORIZER, why="a context of more than strings, numbers and booleans")
            return _WRONG
        return result

    gateway._invoke_authorizer_lambda = invoke
    gateway._import_identity_source = imported


def _is_there(source: str, event: dict[str, Any]) -> bool:
    """Other kinds than headers ministack looks at itself."""
    headers = {name.lower(): value for name, value in event["headers"].items()}
    return not source.startswith(_HEADER) or bool(headers.get(source.removeprefix(_HEADER).lower()))

"""The Lambda Runtime API (2018-06-01) in pure Python, with the calls of awslambdaric's compiled module.

That module exists for Linux only; where it is missing, this folder is put on PYTHONPATH instead.
"""

from __future__ import annotations

import http.client
import os

_PATH = "/2018-06-01/runtime"
_DEADLINE = "Lambda-Runtime-Deadline-Ms"
_headers: dict[str, str] = {}


def initialize_client(user_agent: str) -> None:
    _headers["User-Agent"] = user_agent


def next() -> tuple[bytes, dict[str, str | int]]:
    """Wait as long as it takes for an event; its bytes and its headers, the deadline as a number."""
    connection = _connect()
    try:
        connection.request("GET", f"{_PATH}/invocation/next", headers=_headers)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise RuntimeError(f"the Runtime API answered {response.status}")
    headers: dict[str, str | int] = dict(response.getheaders())
    headers[_DEADLINE] = int(headers[_DEADLINE])
    return body, headers


def post_invocation_result(request_id: str, result: bytes, content_type: str, invocation_id: str | None = None) -> None:
    _post(f"{request_id}/response", result, {"Content-Type": content_type}, invocation_id)


def post_error(request_id: str, error: str, xray_fault: str, invocation_id: str | None = None) -> None:
    headers = {"Content-Type": "application/json", "Lambda-Runtime-Function-XRay-Error-Cause": xray_fault}
    _post(f"{request_id}/error", error.encode(), headers, invocation_id)


def _post(path: str, body: bytes, headers: dict[str, str], invocation_id: str | None) -> None:
    if invocation_id is not None:
        headers["Lambda-Runtime-Invocation-Id"] = invocation_id
    connection = _connect()
    try:
        connection.request("POST", f"{_PATH}/invocation/{path}", body, {**_headers, **headers})
        response = connection.getresponse()
        response.read()
    finally:
        connection.close()
    if response.status != http.client.ACCEPTED:
        raise RuntimeError(f"the Runtime API answered {response.status}")


def _connect() -> http.client.HTTPConnection:
    return http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

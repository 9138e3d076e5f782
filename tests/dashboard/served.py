"""The dashboard over hand-written records, on a port of this machine: API Gateway's part is done by a few lines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from hybrid_sync.dashboard.routes import Dashboard
from hybrid_sync.dashboard.session import FORM
from hybrid_sync.http.credentials import COOKIE
from hybrid_sync.services.roles import Role
from tests.browser.plugin import Visit

STAGE = "/live"


@contextmanager
def served(dashboard: Dashboard) -> Iterator[str]:
    """The address of its overview, below a stage as on AWS."""

    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass(None)

        def do_POST(self) -> None:
            self._pass(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

        def _pass(self, body: str | None) -> None:
            parts = urlsplit(self.path)
            answer = dashboard.resolve(
                {
                    "httpMethod": self.command, "path": parts.path.removeprefix(STAGE), "body": body,
                    "headers": dict(self.headers.items()), "isBase64Encoded": False,
                    "queryStringParameters": dict(parse_qsl(parts.query, keep_blank_values=True)) or None,
                    "requestContext": {"requestId": "r-1", "identity": {"sourceIp": "127.0.0.1"}},
                }
            )  # fmt: skip
            text = answer["body"].encode()
            self.send_response(answer["statusCode"])
            for name, value in answer["headers"].items():
                self.send_header(name, value)
            for name, values in answer["multiValueHeaders"].items():
                for value in values:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{STAGE}/dashboard"
        finally:
            server.shutdown()


def enter(visit: Visit, address: str, role: Role) -> None:
    """The cookies of somebody who has signed in with that role."""
    host = urlsplit(address)
    for name, value in ((COOKIE, f"token-of-{role.name}"), (FORM, f"secret-of-{role.name}")):
        visit.page.context.add_cookies(
            [
                {
                    "name": name,
                    "value": value,
                    "url": f"https://{host.netloc}/",
                    "secure": True,
                    "httpOnly": True,
                    "sameSite": "Strict",
                }
            ]
        )

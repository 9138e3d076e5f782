"""What stands before the servers of a hosted project: /rest/v1/… on the outside is PostgREST's /…, /auth/v1/… Auth's.

Run as `python gateway.py LISTEN_PORT PREFIX=UPSTREAM_PORT…`; the standard library is all it needs.
"""

from __future__ import annotations

import http.client
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REST, AUTH = "/rest/v1", "/auth/v1"
TIMEOUT = 120  # seconds; above every statement_timeout, so that the database's own answer comes through
# Headers of one connection and not of the message (RFC 9110, 7.6.1), and those that we set ourselves.
OWN_HEADERS = {
    "connection", "content-length", "host", "keep-alive", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade",
}  # fmt: skip


class Gateway(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstreams: dict[str, int]
    # Headers and body go out in two writes; Nagle's algorithm would hold the second back for 40 ms.
    disable_nagle_algorithm = True

    def forward(self) -> None:
        """Hand the request to its server and the answer back; 404 outside the prefixes, 502 when a server is down."""
        prefix = next((p for p in self.upstreams if self.path == p or self.path.startswith((f"{p}/", f"{p}?"))), None)
        if prefix is None:
            self.answer(404, b'{"message":"no such route"}', [("Content-Type", "application/json")])
            return
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size) if size else None
        headers = {name: value for name, value in self.headers.items() if name.lower() not in OWN_HEADERS}
        connection = http.client.HTTPConnection("127.0.0.1", self.upstreams[prefix], timeout=TIMEOUT)
        try:
            # Never sent twice: a write that got no answer may have been done.
            connection.request(self.command, self.path.removeprefix(prefix) or "/", body, headers)
            response = connection.getresponse()
            content = response.read()
        except (http.client.HTTPException, OSError):
            self.answer(502, b'{"message":"the server behind does not answer"}', [("Content-Type", "application/json")])
            return
        finally:
            connection.close()
        passed = [(name, value) for name, value in response.getheaders() if name.lower() not in OWN_HEADERS]
        self.answer(response.status, content, passed)

    def answer(self, status: int, content: bytes, headers: list[tuple[str, str]]) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = forward  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: query strings carry values."""


def main() -> None:
    Gateway.upstreams = {prefix: int(port) for prefix, port in (pair.split("=") for pair in sys.argv[2:])}
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Gateway).serve_forever()


if __name__ == "__main__":
    main()

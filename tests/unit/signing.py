"""A Supabase project of tests: keys that sign, a key set that is served over HTTP, and whoever has signed in."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hybrid_sync.http.jwks import Jwks
from hybrid_sync.http.people import People, Project
from hybrid_sync_cli.stack.supabase_auth.accounts import User, new_user
from hybrid_sync_cli.stack.supabase_auth.keys import Key, key_set
from hybrid_sync_cli.stack.supabase_auth.server import claims

# Once: an RSA key takes a tenth of a second.
ES256, RS256, HS256 = (Key.new(algorithm) for algorithm in ("ES256", "RS256", "HS256"))
KEY_SET = key_set([ES256, RS256, HS256])


@dataclass
class Clock:
    """Seconds that pass only when a test says so."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class FakeProject:
    """What its address answers: `document` and `status`, counted in `asked`."""

    url: str = ""
    document: Any = field(default_factory=lambda: KEY_SET)
    status: int = 200
    asked: int = 0
    clock: Clock = field(default_factory=Clock)
    secret: str | None = HS256.secret

    @property
    def issuer(self) -> str:
        return f"{self.url}/auth/v1"

    def people(self) -> People:
        """As a worker has them that has just begun."""
        return People(lambda: Project(self.url, self.secret), Jwks(self.clock), time.time)

    def claims(self, person: str | None = "operator", **other: Any) -> dict[str, Any]:
        """Of a token issued now to a person of that role; `other` says more or otherwise, and None leaves one out."""
        made = {**claims(self.user(person), self.issuer, int(time.time())), **other}
        return {name: value for name, value in made.items() if value is not None}

    @staticmethod
    def user(role: str | None) -> User:
        return new_user("ann@example.test", role, hybrid_sync_role="admin")


@contextmanager
def served() -> Iterator[FakeProject]:
    """A project on this machine, which answers while this is open."""
    project = FakeProject()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/auth/v1/.well-known/jwks.json"
            project.asked += 1
            content = json.dumps(project.document).encode()
            self.send_response(project.status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        project.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield project
        finally:
            server.shutdown()
            thread.join()

"""What stands between the command and `/ops`: an API Gateway that lets every signed request in as one person."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hybrid_sync.admission.gate import Bounds, Gate
from hybrid_sync.admission.jobs import JobStore
from hybrid_sync.admission.slots import SlotStore
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.errors import AwsUnavailable
from hybrid_sync.http.ops import Ops
from hybrid_sync.postgres import Connection, connect
from hybrid_sync.runs.starter import RunStarter
from tests.views.conftest import BreakersAt, LoadAt, OutlookAt, ThrottlingAt

PERSON = "arn:aws:iam::123456789012:user/ann"


class Away:
    """A service of AWS that does not answer."""

    def __getattr__(self, name: str) -> Any:
        def unavailable(*_: Any, **__: Any) -> Any:
            raise AwsUnavailable("AWS does not answer.")

        return unavailable


@dataclass
class Desk:
    """The deployment behind the gateway: a target, and what a test gives it of AWS."""

    catalog: Catalog
    target_dsn: str
    executions: Any = field(default_factory=Away)
    gate: Any = field(default_factory=Away)
    reports: Any = field(default_factory=Away)
    tokens: Any = field(default_factory=Away)
    undo: Any = field(default_factory=Away)
    failure_queue: Any = field(default_factory=Away)
    secret: Any = field(default_factory=Away)
    audit_copies: Any = field(default_factory=Away)
    outlook: OutlookAt = field(default_factory=OutlookAt)
    breakers: BreakersAt = field(default_factory=BreakersAt)
    load: LoadAt = field(default_factory=LoadAt)
    throttling: ThrottlingAt = field(default_factory=ThrottlingAt)
    deployment: str = ""

    def connect_target(self) -> Connection:
        return connect(self.target_dsn, "target")

    def now(self) -> datetime:
        return datetime.now(UTC)

    def admit_by(self, executions: RunStarter, table: str, dynamodb: Any) -> None:
        """Give it a state machine, and the gate before that."""
        self.executions = executions
        jobs, slots = JobStore(table, dynamodb), SlotStore(table, dynamodb)
        self.gate = Gate(jobs, slots, executions, Bounds(), self.now)


@contextmanager
def gateway(desk: Desk) -> Iterator[str]:
    """Serve the desk; the address that stands for AWS's."""
    ops = Ops(desk)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            prefix, _, command = self.path.partition("/live")
            assert prefix.startswith("/_aws/execute-api/")
            assert self.headers["Authorization"].startswith("AWS4-HMAC-SHA256 ")
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            identity = {"userArn": PERSON, "sourceIp": "192.0.2.7"}
            context = {"identity": identity, "requestId": "request-1"}
            answer = ops.resolve({"resource": command, "body": body, "requestContext": context})
            content = answer["body"].encode()
            self.send_response(answer["statusCode"])
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: the test reads what the command prints."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()

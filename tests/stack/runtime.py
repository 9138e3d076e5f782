"""One function as AWS runs it: its built folder, its layers and AWS's runtime client, and no other package.

What Lambda's Runtime API asks of its two sides: developer guide, "Using the Lambda runtime API".
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hybrid_sync_cli.stack.aws import LAUNCHER

PATIENCE = 60.0
ARN = "arn:aws:lambda:us-east-1:000000000000:function:any"
# The runtime client and what it imports; on AWS they are part of the runtime.
PURE = LAUNCHER.with_name("runtime_api")
CLIENT = ("awslambdaric", "runtime_client*", "simplejson", "snapshot_restore_py*")


def runtime_client(packages: Path, folder: Path) -> Path:
    """A folder that holds AWS's runtime client of an environment, and nothing else of it."""
    found = [path for pattern in CLIENT for path in packages.glob(pattern)]
    if not any(path.name.startswith("runtime_client") for path in found):  # it is compiled for Linux only
        found += PURE.glob("*.py")
    for path in found:
        (folder / path.name).symlink_to(path)
    return folder


@dataclass
class Api:
    """The Runtime API of one environment."""

    events: queue.Queue[bytes] = field(default_factory=queue.Queue)
    answers: queue.Queue[tuple[str, Any]] = field(default_factory=queue.Queue)

    def ask(self, event: Any) -> Any:
        """The handler's answer; AssertionError with what it raised."""
        self.events.put(json.dumps(event).encode())
        kind, answer = self.answers.get(timeout=PATIENCE)
        assert kind == "response", answer
        return answer

    def handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                event = api.events.get()
                self.send_response(200)
                headers = {"Aws-Request-Id": "1", "Deadline-Ms": "4102444800000", "Invoked-Function-Arn": ARN}
                for name, value in headers.items():
                    self.send_header(f"Lambda-Runtime-{name}", value)
                # The runtime client dies without it.
                self.send_header("Content-Type", "application/json")
                self._end(event)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(202)
                self._end(b"{}")
                api.answers.put((self.path.rpartition("/")[2], json.loads(body or b"null")))

            def _end(self, body: bytes) -> None:
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@contextmanager
def environment(code: Path, layers: list[Path], client: Path, variables: dict[str, str]) -> Iterator[Api]:
    """The function's environment, warm until the end."""
    api = Api()
    server = ThreadingHTTPServer(("127.0.0.1", 0), api.handler())
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = [code, *(layer / "python" for layer in layers), client]
    # Without `site` no environment's packages are there, neither ours nor the machine's.
    process = subprocess.Popen(
        [Path(sys.executable).resolve(), "-S", "-P", "-m", "awslambdaric", "app.handler"],
        cwd=code,
        env={
            **variables,
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_LOG_GROUP_NAME": "any",
            "AWS_LAMBDA_LOG_STREAM_NAME": "any",
            "LAMBDA_TASK_ROOT": str(code),
            "PYTHONPATH": ":".join(map(str, path)),
        },
        stdout=subprocess.DEVNULL,
    )
    try:
        yield api
    finally:
        process.kill()
        process.wait()
        server.shutdown()
        server.server_close()

"""AWS that fails, on purpose: of what functions ask, the requests that a file names are refused, or their answers lost.

The file is read before each request, so that a test begins and ends an outage in mid-run.  It holds a JSON list of
`Fault`s as objects; the first that fits a request decides.
"""

from __future__ import annotations

import fnmatch
import json
import os
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE = "HYBRID_SYNC_AWS_FAULTS"
Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Fault:
    """What one kind of request meets: patterns of its service, operation and function, and a text that it carries."""

    service: str
    code: str
    """AWS's name of the error."""
    status: int = 500
    operation: str = "*"
    """As `requests` names it."""
    function: str = "*"
    carries: str = ""
    """Somewhere in its path or body, such as the key of an item or of an object."""
    times: int = 0
    """How many of them; all, where it is zero."""
    done: bool = False
    """What was asked for is done, and only the answer is lost."""

    def fits(self, service: str, operation: str, function: str, path: str, body: bytes) -> bool:
        patterns = ((self.service, service), (self.operation, operation), (self.function, function))
        carried = self.carries.encode()
        fitting = all(fnmatch.fnmatchcase(found, pattern) for pattern, found in patterns)
        return fitting and (carried in body or carried in path.encode())

    def answer(self, headers: Mapping[str, str]) -> Answer:
        """As the service of such a request says it: of its target in JSON, of the others in XML."""
        said = "This is a drill."
        if "x-amz-target" in headers or self.service == "sesv2":
            body = json.dumps({"__type": self.code, "message": said}).encode()
            return self.status, {"Content-Type": "application/x-amz-json-1.0", "x-amzn-ErrorType": self.code}, body
        error = f"<Error><Code>{self.code}</Code><Message>{said}</Message></Error>"
        inside = error if self.service == "s3" else f"<ErrorResponse>{error}</ErrorResponse>"
        return self.status, {"Content-Type": "application/xml"}, inside.encode()


class Faults:
    """Those that the file holds at a moment, and how often each has struck since it was put there."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._struck: Counter[Fault] = Counter()
        self._lock = threading.Lock()

    def striking(self, *request: Any) -> Fault | None:
        """The fault that this request meets, and which is counted with it."""
        try:
            held = [Fault(**one) for one in json.loads(self._file.read_text("utf-8"))]
        except FileNotFoundError:
            self._struck.clear()
            return None
        with self._lock:
            for fault in held:
                if fault.fits(*request) and not (fault.times and self._struck[fault] >= fault.times):
                    self._struck[fault] += 1
                    return fault
        return None


def put(file: Path, *faults: Fault) -> None:
    """From now on, and instead of those before; none ends it."""
    if not faults:
        file.unlink(missing_ok=True)
        return
    written = file.with_suffix(".new")
    written.write_text(json.dumps([asdict(fault) for fault in faults]), "utf-8")
    written.replace(file)


def from_environment() -> Faults | None:
    """None where the environment names no file."""
    return Faults(Path(path)) if (path := os.environ.get(FILE)) else None

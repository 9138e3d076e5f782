"""How a job's program begins: loaded first, then told what to do, then started.  Needs nothing but Python."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, NoReturn

READY, GO = "ready\n", "go\n"


def asked() -> dict[str, Any]:
    """What to do; to be called once everything is imported, and before `go`."""
    order: dict[str, Any] = json.loads(sys.stdin.readline())
    return order


def go() -> None:
    """Wait for the start: the clock runs from here."""
    sys.stdout.write(READY)
    sys.stdout.flush()
    if sys.stdin.readline() != GO:
        raise SystemExit("Nobody has said go.")


def done(**told: object) -> NoReturn:
    """What is left to say, as the last line; the program ends at once, and lets go of nothing that Python has loaded:
    that is no part of anybody's work."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    os._exit(0)

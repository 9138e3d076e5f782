"""What this worker uses of AWS, counted where it is asked: each request as it is sent, retries too.

A worker serves one call at a time, so what was counted since its call began is the call's.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import field
from pathlib import Path
from threading import Lock
from typing import Any

from hybrid_sync.dataclass import dataclass
from hybrid_sync.timing import CLOCK, START, Taken

NAMES = {"secrets-manager": "secretsmanager", "sfn": "states"}
"""Services that policies call otherwise than botocore."""
THROTTLED = {
    "KMSThrottling",
    "KMSThrottlingException",
    "KmsThrottled",
    "KmsThrottlingException",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttled",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
"""What AWS answers to whoever has to come more slowly."""
LONGEST_START = 10.0
"""Seconds that Lambda lets a worker take to start (Lambda guide, "Init phase")."""
_READS = ("BatchGetItem", "GetItem", "Query", "Scan")
_FAILED_CONDITION = "ConditionalCheckFailedException"
"""Costs a write unit, and DynamoDB does not tell it."""


@dataclass(frozen=True)
class Used:
    """Requests by `service:Operation`, and capacity units as DynamoDB reports them."""

    requests: dict[str, int] = field(default_factory=dict)
    read_units: float = 0.0
    write_units: float = 0.0


@dataclass(frozen=True)
class MeasuredCall:
    """One call of a function for a run, as its worker has measured it."""

    run_id: str
    entity: str
    """Empty where it is about no single one."""
    function: str
    worker: str
    memory_mib: int
    peak_rss_kib: int
    calls: int = 1
    milliseconds: int = 0
    transitions: int = 0
    """States that its run's execution has entered by it."""
    used: Used = field(default_factory=Used)
    times: Taken = field(default_factory=dict)


class Meter:
    """Listens to the clients of one session."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests: Counter[str] = Counter()
        self._reads = self._writes = 0.0
        self._slowed: Counter[str] = Counter()

    def watch(self, session: Any) -> None:
        """Every client that the session makes from now on is counted."""
        session.register("before-send", self._sent)
        session.register("needs-retry", self._answered)
        session.register("provide-client-params.dynamodb", _ask_for_capacity)
        session.register("after-call.dynamodb", self._capacity)

    def take(self) -> Used:
        """What was used since the last time."""
        with self._lock:
            taken = Used(dict(self._requests), self._reads, self._writes)
            self._requests, self._reads, self._writes = Counter(), 0.0, 0.0
            self._slowed = Counter()
        return taken

    @property
    def slowed(self) -> str:
        """What AWS has asked to come more slowly since the last time, in a sentence; also where that was of no harm."""
        with self._lock:
            names = sorted(self._slowed)
        return f"AWS slows down {', '.join(names)}." if names else ""

    def _sent(self, event_name: str, **more: Any) -> None:
        with self._lock:
            self._requests[_named(event_name)] += 1

    def _answered(self, event_name: str, response: Any, **more: Any) -> None:
        consumed = response[1] if response is not None else {}
        if consumed.get("Error", {}).get("Code") in THROTTLED:
            with self._lock:
                self._slowed[_named(event_name)] += 1

    def _capacity(self, model: Any, parsed: dict[str, Any], **more: Any) -> None:
        consumed = parsed.get("ConsumedCapacity") or []
        tables: list[dict[str, Any]] = [consumed] if isinstance(consumed, dict) else consumed
        units = sum(float(table["CapacityUnits"]) for table in tables)
        units += parsed.get("Error", {}).get("Code") == _FAILED_CONDITION
        left = parsed.get("UnprocessedKeys") or parsed.get("UnprocessedItems")
        with self._lock:
            if left:  # our answers are far from the size that would be another reason
                self._slowed[f"dynamodb:{model.name}"] += 1
            if model.name in _READS:
                self._reads += units
            else:
                self._writes += units


def _named(event_name: str) -> str:
    """`service:Operation` of an event of botocore's, such as `before-send.dynamodb.GetItem`."""
    _, service, operation = event_name.split(".")
    return f"{NAMES.get(service, service)}:{operation}"


def _ask_for_capacity(params: dict[str, Any], model: Any, **more: Any) -> dict[str, Any]:
    if "ReturnConsumedCapacity" in model.input_shape.members:
        return {"ReturnConsumedCapacity": "TOTAL", **params}
    return params


METER = Meter()


class Stopwatch:
    """Milliseconds of a call as Lambda bills them: each begun one, and the worker's start with its first call."""

    _worker_is_new = True

    def __init__(self) -> None:
        METER.take()  # what was asked between two calls, such as by what keeps a worker warm
        CLOCK.take()
        self._start = _seconds_since_start() if Stopwatch._worker_is_new else 0.0
        if self._start:
            CLOCK.add(START, self._start)
        Stopwatch._worker_is_new = False
        self._began = time.perf_counter()

    def milliseconds(self) -> int:
        return -int(-(self._start + time.perf_counter() - self._began) * 1000 // 1)


def _seconds_since_start() -> float:
    """Since this process began, as Linux reports it; zero elsewhere."""
    try:
        ticks = int(Path("/proc/self/stat").read_text("ascii").rpartition(")")[2].split()[19])
    except OSError:
        return 0.0
    return min(max(time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / 100, 0.0), LONGEST_START)

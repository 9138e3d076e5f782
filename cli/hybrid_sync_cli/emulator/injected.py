"""Bad luck, on purpose: a share of the invocations is throttled, delivered twice, or starts cold.

The n-th invocation of a function has the same luck for the same seed, whatever else happens at the time.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter
from typing import Any

WORDS = "HYBRID_SYNC_INJECT"
KINDS = ("throttles", "duplicates", "cold_starts")


def parsed(words: str) -> dict[str, float]:
    """`throttles=0.05,duplicates=0.2,cold_starts=0.1,seed=7` as numbers; ValueError in words for anything else."""
    found: dict[str, float] = {}
    for word in filter(None, words.split(",")):
        name, _, number = word.partition("=")
        known = name in KINDS or name == "seed"
        try:
            found[name] = float(number)
        except ValueError:
            known = False
        if not known or (name in KINDS and not 0 <= found[name] < 1):
            raise ValueError(
                f"{word} is nothing that can be injected: write {', '.join(KINDS)}=a share below 1, seed=a number"
            )
    return found


class Luck:
    """Decides for each invocation what it meets."""

    def __init__(self, words: str) -> None:
        self._shares = parsed(words)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def strikes(self, kind: str, function: str) -> bool:
        share = self._shares.get(kind, 0)
        if not share:
            return False
        with self._lock:
            self._counts[kind, function] += 1
            drawn = f"{self._shares.get('seed', 0)}:{kind}:{function}:{self._counts[kind, function]}"
        return int.from_bytes(hashlib.sha256(drawn.encode()).digest()[:8]) / 2**64 < share


def inject(lambda_svc: Any, runtime: Any, eventbridge: Any) -> None:
    """Put what the environment asks for in ministack's way."""
    luck = Luck(os.environ.get(WORDS, ""))
    acquire, batch, later = (
        lambda_svc._acquire_execution_slot,
        lambda_svc._run_sqs_batch,
        lambda_svc.invoke_async_with_retry,
    )
    throttled, leased, to_lambda = (
        lambda_svc._throttle_response,
        runtime.acquire_worker,
        eventbridge._dispatch_to_lambda,
    )

    def slot(function: Any, config: Any) -> Any:
        if luck.strikes("throttles", _name(config)):
            return None, "account"
        return acquire(function, config)

    def deliver(mapping: Any, function: Any, event: Any, *rest: Any) -> Any:
        if luck.strikes("duplicates", _name(function)):
            lambda_svc._execute_function(function, event)
        return batch(mapping, function, event, *rest)

    def invoke(function: Any, event: Any) -> None:
        for _ in range(2 if luck.strikes("duplicates", _name(function)) else 1):
            later(function, event)

    def dispatch(arn: str, event: Any, *rest: Any, **more: Any) -> None:
        for _ in range(2 if luck.strikes("duplicates", arn.split(":function:")[-1]) else 1):
            to_lambda(arn, event, *rest, **more)

    def response(*words: Any, **more: Any) -> Any:
        # Step Functions reads an error's name where a function's own error has it.
        answer = throttled(*words, **more)
        answer["body"]["errorType"] = "Lambda.TooManyRequestsException"
        return answer

    def worker(name: str, config: Any, code: bytes, qualifier: str = "$LATEST", **more: Any) -> Any:
        cold = luck.strikes("cold_starts", name)
        while True:
            found, how = leased(name, config, code, qualifier=qualifier, **more)
            if not cold or how != "reused":
                return found, how
            with runtime._lock:
                runtime._workers[runtime._worker_key(name, config, qualifier)].remove(found)
            runtime.kill_workers([found])

    lambda_svc._acquire_execution_slot = slot
    lambda_svc._run_sqs_batch = deliver
    lambda_svc.invoke_async_with_retry = invoke
    lambda_svc._throttle_response = response
    lambda_svc.acquire_worker = worker
    eventbridge._dispatch_to_lambda = dispatch


def _name(function: Any) -> str:
    config = function.get("config") or function
    return str(config.get("FunctionName", ""))

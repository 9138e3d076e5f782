"""What a run has used, once as its workers have counted it and once as the emulator has seen it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import psycopg

from hybrid_sync_cli.emulator.requests import CALL, REQUEST, STATE
from hybrid_sync_cli.stack import Stack, home
from hybrid_sync_cli.stack.aws import Aws
from hybrid_sync_cli.stack.processes import Processes

S3 = {"PUT": "PutObject", "GET": "GetObject", "LIST": "ListObjectsV2"}


def by_the_workers(stack: Stack, run_id: str) -> dict[str, Any]:
    """Calls of each function, states, requests."""
    with psycopg.connect(stack.target_dsn) as target:
        rows = target.execute(
            "select function, calls, transitions, requests from hybrid_sync.run_usage where run_id = %s", (run_id,)
        ).fetchall()
    calls: Counter[str] = Counter()
    requests: Counter[str] = Counter()
    for function, number, _, asked in rows:
        calls[function] += number
        requests.update(asked)
    return {"calls": calls, "states": sum(row[2] for row in rows), "requests": requests}


def by_the_emulator(run_id: str) -> dict[str, Any]:
    """The same, from its log alone."""
    # The clocks go on, so the last line may be half written: it is of another run.
    whole = Aws(Processes(home.directory())).requests.read_text("utf-8").rpartition("\n")[0]
    lines = [json.loads(line) for line in whole.splitlines()]
    calls = [line for line in lines if line["kind"] == CALL and line["run"] == run_id]
    traces = {line["trace"] for line in calls}
    return {
        "calls": Counter(line["function"] for line in calls),
        "states": sum(line["kind"] == STATE and line["run"] == run_id for line in lines),
        "requests": Counter(
            f"{line['service']}:{S3.get(line['name'], line['name'])}"
            for line in lines if line["kind"] == REQUEST and line["trace"] in traces
        ),
    }  # fmt: skip

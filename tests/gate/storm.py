"""`make gate-storm`, on the stack that is up: 50 starts at once, executions stopped and functions killed meanwhile."""

from __future__ import annotations

import random
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from hybrid_sync.contracts import Profile, Ref, RunPriority, RunRequest
from hybrid_sync.services.messages.jobs import JobAnswer, Jobs, JobsAsked
from hybrid_sync.services.messages.runs import Progress, ProgressAsked, StartAsked, Started
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import Stack

STARTS = 50
ROWS = 12
MOST = 3
ADMITTING = ("admit-runs", "serve-ops")
LONGEST = 600.0


@dataclass
class Seen:
    """What the state machine's own list has said, and what was done to it."""

    most: int = 0
    names: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    killed: int = 0


class Storm:
    def __init__(self, stack: Stack, seed: int) -> None:
        self._stack = stack
        self._luck = random.Random(seed)
        self._over = threading.Event()
        self.seen = Seen()

    def blow(self) -> str:
        """AssertionError says what did not hold."""
        before = {e["name"] for e in self._executions()}
        watchers = [threading.Thread(target=w, daemon=True) for w in (self._watch, self._disturb)]
        for watcher in watchers:
            watcher.start()
        began = time.monotonic()
        with ThreadPoolExecutor(STARTS) as pool:
            accepted = [run_id for run_id in pool.map(self._start, range(STARTS)) if run_id]
        calm = time.monotonic()
        self._wait(calm + LONGEST)
        self._over.set()
        for watcher in watchers:
            watcher.join()
        states = {e["name"]: e["status"] for e in self._executions() if e["name"] not in before}
        ended = {run_id: self._ended(run_id) for run_id in accepted}
        merged = [run_id for run_id, progress in ended.items() if progress.run_id != run_id]
        assert self.seen.most <= MOST, f"{self.seen.most} runs were RUNNING at once"
        for run_id, progress in ended.items():
            assert progress.status not in ("waiting", "running"), f"{run_id} is {progress.status} for ever"
            assert progress.run_id in states, f"{run_id} never ran"
            assert (progress.status == "cancelled") == (states[progress.run_id] == "ABORTED")
        assert {name for name, status in states.items() if status == "ABORTED"} <= self.seen.stopped
        assert len(self._executions()) == len(before) + len(states)
        return (
            f"STORM starts={STARTS} accepted={len(accepted)} runs={len(states)} merged={len(merged)}"
            f" stopped={len(self.seen.stopped)} killed={self.seen.killed} most_running={self.seen.most}"
            f" seconds={time.monotonic() - began:.1f}"
        )

    def _start(self, n: int) -> str | None:
        priority = self._luck.choice(list(RunPriority))
        ref = Ref(entity="offices", legacy_id=1 + n % ROWS)
        asked = StartAsked(
            run_id=f"on_demand-20261129T010000-{secrets.token_hex(3)}",
            request=RunRequest(profile=Profile.on_demand, trigger="storm", priority=priority, refs=(ref,)),
        )
        deployment = Deployment.here(self._stack)
        for _ in range(10):
            try:
                return deployment.ask("sync", asked, Started, patient=True).run_id
            except CliError:  # its function was killed: whoever repeats the call repeats the name
                continue
        return None

    def _watch(self) -> None:
        client = self._stack.client("stepfunctions")
        while not self._over.is_set():
            machine = self._stack.outputs["StateMachineArn"]
            found = client.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
            own = [e["name"] for e in found if ":execution:" in e["executionArn"] and "/" not in e["executionArn"]]
            self.seen.most = max(self.seen.most, len(own))
            self.seen.names |= set(own)
            self._over.wait(0.05)

    def _disturb(self) -> None:
        client = self._stack.client("stepfunctions")
        machine = self._stack.outputs["StateMachineArn"]
        while not self._over.wait(self._luck.uniform(2, 5)):
            running = client.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
            if running and self._luck.random() < 0.7:
                chosen = self._luck.choice(running)
                self.seen.stopped.add(chosen["name"])
                client.stop_execution(executionArn=chosen["executionArn"])
            self._kill_one()

    def _kill_one(self) -> None:
        """One worker of a function that admits, of this stack's own emulator."""
        workers = []
        for process in psutil.process_iter():
            try:
                if "awslambdaric" in process.cmdline():
                    given = process.environ()
                    ours = given.get("AWS_ENDPOINT_URL") == self._stack.aws_endpoint_url
                    if ours and given.get("AWS_LAMBDA_FUNCTION_NAME", "").endswith(ADMITTING):
                        workers.append(process)
            except psutil.Error:
                continue
        if workers:
            with suppress(psutil.NoSuchProcess):  # it has gone by itself
                self._luck.choice(workers).kill()
                self.seen.killed += 1

    def _wait(self, until: float) -> None:
        """Until nothing runs and nothing waits."""
        while time.monotonic() < until:
            try:
                if not self._at_work():
                    return
            except CliError:
                pass  # its function was killed
            time.sleep(0.5)

    def _at_work(self) -> tuple[JobAnswer, ...]:
        return Deployment.here(self._stack).ask("syncs", JobsAsked(), Jobs).jobs

    def _ended(self, run_id: str) -> Progress:
        return Deployment.here(self._stack).ask("progress", ProgressAsked(run_id=run_id), Progress, patient=True)

    def _executions(self) -> list[dict[str, str]]:
        pages = self._stack.client("stepfunctions").get_paginator("list_executions")
        found = pages.paginate(stateMachineArn=self._stack.outputs["StateMachineArn"])
        return [e for page in found for e in page["executions"] if "/" not in e["executionArn"]]


if __name__ == "__main__":
    print(Storm(Stack.load(), seed=1).blow())

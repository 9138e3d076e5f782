"""A run of the engine: the state machine file is played over so many worker processes, each given what is due next."""

from __future__ import annotations

import gc
import json
import pstats
import selectors
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

from bench.peers.begin import asked, done, go
from bench.peers.engine_world import FolderWorld, Order
from bench.peers.measure import PROJECT
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.flow.deployed import flow
from hybrid_sync_cli.flow.execution import Delivery, Execution
from hybrid_sync_cli.flow.play import settle
from tests.engine.worlds import execution


class Worker:
    """A process that does one thing at a time."""

    def __init__(self, order: Order) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.peers.engine_worker"], cwd=PROJECT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdin and self.process.stdout
        self._into: TextIO = self.process.stdin  # type: ignore[assignment]
        self.out: TextIO = self.process.stdout  # type: ignore[assignment]
        self.say(order.model_dump_json())
        self.delivery: Delivery | None = None
        self.began = 0.0

    def say(self, line: str) -> None:
        self._into.write(line + "\n")
        self._into.flush()

    def take(self, delivery: Delivery) -> None:
        self.delivery, self.began = delivery, time.perf_counter()
        self.say(json.dumps({"function": delivery.function, "payload": delivery.payload}))

    def heard(self) -> dict[str, Any]:
        line = self.out.readline()
        if not line:
            raise CliError("A worker of the engine ended before its answer: its traceback is above.")
        told: dict[str, Any] = json.loads(line)
        return told

    def let_go(self) -> None:
        """There is nothing more to do."""
        self._into.close()

    def end(self) -> dict[str, Any]:
        told = self.heard()
        self.process.wait()
        return told


class Conductor:
    """Plays an execution over its workers; counts seconds by function."""

    def __init__(self, workers: list[Worker], run: Execution) -> None:
        self._workers = workers
        self._run = run
        self.seconds: Counter[str] = Counter()
        self.cpu: Counter[str] = Counter()
        """Seconds of the workers' processors; the servers' are not among them."""
        self.calls: Counter[str] = Counter()
        self._selector = selectors.DefaultSelector()
        for worker in workers:
            self._selector.register(worker.out, selectors.EVENT_READ, worker)

    def play(self) -> Execution:
        while self._run.ready:
            self._hand_out()
            for key, _ in self._selector.select():
                self._settle(key.data)
        return self._run

    def _hand_out(self) -> None:
        at_work = [worker.delivery for worker in self._workers]
        due = [delivery for delivery in self._run.ready if delivery not in at_work]
        free = [worker for worker in self._workers if worker.delivery is None]
        for worker, delivery in zip(free, due, strict=False):
            worker.take(delivery)

    def _settle(self, worker: Worker) -> None:
        told, delivery = worker.heard(), worker.delivery
        assert delivery is not None
        worker.delivery = None
        self.seconds[delivery.function] += time.perf_counter() - worker.began
        self.calls[delivery.function] += 1
        if delivery not in self._run.ready:
            return  # its map has failed meanwhile
        if "error" in told:
            raise CliError(f"{delivery.function} failed, so no time means anything: {told['cause']}")
        self.cpu[delivery.function] += told["cpu"]
        settle(self._run, delivery, told["answer"])


def main() -> None:
    """One run, from an Order on standard input; prints what it took by function."""
    order = Order.model_validate(asked())
    workers = [Worker(order) for _ in range(order.workers)]
    world = FolderWorld(order)
    world.flow = flow(Retries=0)
    for worker in workers:
        worker.heard()
    gc.freeze()  # as the functions do: what was loaded is not looked through again, nor when the process ends
    go()
    more = {} if order.batch_size is None else {"batch_size": order.batch_size}
    conductor = Conductor(workers, execution(world, order.run_id, _lines(world), profile=order.profile, **more))
    ended = conductor.play()
    for worker in workers:
        worker.let_go()
    told = [worker.end() for worker in workers]
    status = (ended.output or {}).get("status", ended.status)
    if status != "succeeded":
        raise CliError(f"The run ended as {status}, so its time means nothing: {ended.error} {ended.cause}")
    if order.profile_to:
        _show_profile(order.profile_to)
    done(
        peak_kib=max(one["peak_kib"] for one in told),
        pages_written=sum(one["pages_written"] for one in told),
        pages_read=sum(one["pages_read"] for one in told),
        calls=dict(conductor.calls),
        seconds={name: round(taken, 3) for name, taken in conductor.seconds.most_common()},
        cpu={name: round(taken, 3) for name, taken in conductor.cpu.most_common()},
    )


def _show_profile(folder: Path) -> None:
    """All workers' together, to standard error: where their Python spends its time, by function."""
    several = pstats.Stats(*map(str, sorted(folder.iterdir())), stream=sys.stderr)
    several.strip_dirs().sort_stats("tottime").print_stats(30)


def _lines(world: FolderWorld) -> Any:
    """Manifests as the state machine's maps read them."""

    def read(bucket: str, key: str) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = json.loads(world.bucket.get_object(bucket, key)["Body"].read())
        return lines

    return read


if __name__ == "__main__":
    main()

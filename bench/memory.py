"""A worker's own memory with so many rows and with ten times as many: it must not grow with the table.

Each step that touches rows has a process of its own per entity and size, which does all invocations of that step, as
a warm Lambda worker would; S3 and DynamoDB are the emulator's.  What is compared is the process's peak, all included.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3

from bench.memory_shapes import ITEM_BYTES, SHAPES, carry
from bench.memory_worker import BUCKET, TABLE, Done, Order
from bench.memory_world import CATALOG, GROWING, LEAVE, LOSE, create, execute
from hybrid_sync.compare.reconcile import SEGMENT_ROWS
from hybrid_sync.contracts import Profile
from hybrid_sync.schema.install import install
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.flow.deployed import flow
from hybrid_sync_cli.flow.execution import Delivery
from hybrid_sync_cli.stack import ACCESS, REGION, home
from hybrid_sync_cli.stack.aws import Aws, ensure_environments
from hybrid_sync_cli.stack.processes import Processes
from tests.engine.worlds import EngineWorld, execution, functions_of
from tests.flow.conduct import conduct

TIMES = 10
LIMIT = 1.10
_MANY = {"sync_batch", "compare_segment"}
"""Functions that one worker is given many invocations of."""
NewDatabase = Callable[[str, str], str]
"""(name, encoding) -> DSN of a new empty database, as its superuser."""


def contest(new_database: NewDatabase, rows: int) -> int:
    """Print every step's peaks and a `MEMORY …` line; 1 when one has grown by a tenth or more."""
    few, many = (_measured(new_database, n) for n in (rows, rows * TIMES))
    print(f"{'peak KiB of a worker':46}{rows:>10,}{rows * TIMES:>10,}{'ratio':>8}")
    ratios = {step: many[step].peak / few[step].peak for step in few}
    for step, ratio in ratios.items():
        print(f"{step:46}{few[step].peak:>10,}{many[step].peak:>10,}{ratio:8.3f}")
    worst = max(ratios, key=lambda step: ratios[step])
    print(f"MEMORY rows={rows}→{rows * TIMES} worst_ratio={ratios[worst]:.3f} step={worst.replace(' ', '/')}")
    return int(ratios[worst] >= LIMIT)


def sizes(new_database: NewDatabase) -> int:
    """Print each shape's peak and a `SIZES …` line; 1 when one takes more than is promised."""
    print(f"{'':32}{'peak MiB':>10}{'promised':>10}{'rows/page':>11}{'item bytes':>12}")
    worst = 0.0
    held = True
    with _aws() as environment:
        client = _client("dynamodb", environment)
        _id_table(client)
        for n, shape in enumerate(SHAPES):
            legacy, target = (new_database(f"shape{n}_{side}", "UTF8") for side in ("legacy", "target"))
            done = carry(shape, legacy, target, environment)
            print(f"{shape.name:32}{done.peak:10.0f}{shape.limit:10}{done.page:11,}{done.item:12,}")
            worst = max(worst, done.peak / shape.limit)
            held = held and done.peak <= shape.limit and done.item < ITEM_BYTES and done.page <= 2 * done.batch_size
    print(f"SIZES shapes={len(SHAPES)} worst_share={worst:.2f} held={str(held).lower()}")
    return int(not held)


def _measured(new_database: NewDatabase, rows: int) -> dict[str, Done]:
    legacy, target = new_database(f"memory{rows}_legacy", "UTF8"), new_database(f"memory{rows}_target", "UTF8")
    create(legacy, target, rows)
    with _aws() as environment:
        week = Week(legacy, install(target, "only-for-benchmarks", CATALOG), environment, rows)
        week.run("first", Profile.daily)
        execute(legacy, LEAVE)
        week.run("changes", Profile.daily, *GROWING)
        execute(target, LOSE)
        week.run("losses", Profile.weekly, *GROWING)
    return week.done


@contextmanager
def _aws() -> Iterator[dict[str, str]]:
    """An account with the id map's table and the data bucket; the environment that leads there."""
    ensure_environments(home.project_root())
    with TemporaryDirectory(prefix="bench-", dir=home.directory()) as folder:
        aws = Aws(Processes(Path(folder)))
        aws.start(home.project_root() / ".venv-stack" / "bin" / "python", None)
        try:
            yield {**ACCESS, "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": aws.endpoint}
        finally:
            aws.stop()


@dataclass
class Week:
    """Runs of one world, each invocation in its step's process."""

    legacy_dsn: str
    target_dsn: str
    environment: dict[str, str]
    rows: int
    done: dict[str, Done] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._s3 = _client("s3", self.environment)
        self._s3.create_bucket(Bucket=BUCKET)
        _id_table(_client("dynamodb", self.environment))

    def run(self, run_id: str, profile: Profile, *entities: str) -> None:
        """The state machine up to its report; CliError unless every entity adds up."""
        world = EngineWorld(CATALOG, self.legacy_dsn, self.target_dsn)
        plan = functions_of(world)
        # Every batch of an entity is ready at once, for one worker.
        world.flow = flow(Retries=0, BatchConcurrency=0)
        run = execution(world, run_id, self._lines, profile=profile, entities=entities)
        conduct(run, plan, until=lambda delivery: delivery.function != "plan_run")
        while run.ready[0].function != "report_run":
            first = run.ready[0]
            together = [delivery for delivery in run.ready if delivery.items[:-1] == first.items[:-1]]
            due = together if first.function in _MANY else [first]
            for delivery, answer in zip(due, self._work(run_id, due), strict=True):
                if answer.get("fence_advanced") is False:
                    raise CliError(f"The run {run_id} of {answer['entity']} did not add up: its memory means nothing.")
                run.answer(delivery, answer)

    def _work(self, run_id: str, due: list[Delivery]) -> tuple[dict[str, Any], ...]:
        """All invocations in one new process."""
        first = due[0]
        step = f"{first.function} (healing)" if first.state == "HealBatch" else first.function
        entity = first.payload.get("entity", "")
        order = Order(
            legacy_dsn=self.legacy_dsn, target_dsn=self.target_dsn, function=first.function,
            tasks=tuple(delivery.payload for delivery in due),
            # Two segments and a rest of either table, the larger one's as long as a deployment lets them be.
            segment_rows=min(SEGMENT_ROWS, self.rows // 2),
        )  # fmt: skip
        worker = subprocess.run(
            [sys.executable, "-m", "bench.memory_worker"], input=order.model_dump_json(), capture_output=True,
            text=True, cwd=home.project_root(), env={**os.environ, **self.environment},
        )  # fmt: skip
        if worker.returncode:
            said = (worker.stderr.strip().splitlines() or ["nothing"])[-1]
            raise CliError(f"A worker of {step} {entity} in the run {run_id} ended: {said}")
        done = Done.model_validate_json(worker.stdout.splitlines()[-1])
        self.done[self._name(run_id, step, entity)] = done
        return done.answers

    def _name(self, *parts: str) -> str:
        """Steps that come more than once have a number."""
        name = " ".join(part for part in parts if part)
        again = sum(known == name or known.startswith(f"{name} #") for known in self.done)
        return f"{name} #{again + 1}" if again else name

    def _lines(self, bucket: str, key: str) -> list[dict[str, Any]]:
        """The manifest's lines, as the state machine's map reads them."""
        lines: list[dict[str, Any]] = json.loads(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        return lines


def _id_table(client: Any) -> None:
    client.create_table(
        TableName=TABLE, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )  # fmt: skip


def _client(service: str, environment: dict[str, str]) -> Any:
    return boto3.client(
        service, endpoint_url=environment["AWS_ENDPOINT_URL"], region_name=REGION,
        aws_access_key_id=ACCESS["AWS_ACCESS_KEY_ID"], aws_secret_access_key=ACCESS["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip

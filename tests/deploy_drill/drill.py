"""The steps, each with its seconds; what the README says is typed as it stands there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg

from hybrid_sync.runs.holds import holds, release
from hybrid_sync_cli.emulator import refusals
from hybrid_sync_cli.execution import catalog_of_project
from hybrid_sync_cli.sample import mutate
from hybrid_sync_cli.stack import deploy, supabase
from hybrid_sync_cli.stack.deploy import Host
from hybrid_sync_cli.untouched import look, touched
from tests.deploy_drill import readme
from tests.deploy_drill.checkout import Checkout, Failed
from tests.deploy_drill.ground import PASSWORD, READER, Ground
from tests.deploy_drill.pooler import SLOTS

PATIENCE = 900.0
ADMIN = supabase.ADMIN
Result = TypeVar("Result")
GOOD = {"succeeded", "degraded"}


@dataclass
class Drill:
    """One person's day with the deployment."""

    ground: Ground
    checkout: Checkout
    say: Callable[[str], None]
    steps: list[str] = field(default_factory=list)

    def run(self) -> str:
        """The line that it ends with; Failed where a step does not keep its word."""
        self._prepare()
        first, again = self._split(readme.commands())
        self._typed(first)
        self._step("first sync", lambda: self._sync())
        before = self._look()
        self._step("a week in legacy", lambda: mutate(self.ground.legacy.direct))
        second = self._step("second sync", lambda: self._sync())
        self._step("rollback", lambda: self._roll_back(second))
        self._step("redeploy in mid-run", self._redeploy_in_mid_run)
        self._typed(again)
        self._typed(first)
        self._step("sync after redeploy", lambda: self._sync())
        if touched(before, self._look()).ids:
            raise Failed("An id that was there before is another one after the redeploy.")
        return self._verdict()

    # --- what is typed ----------------------------------------------------------------------------------------

    def _split(self, lines: list[str]) -> tuple[list[str], list[str]]:
        """(the way to the first sync, the way back)."""
        back = next(n for n, line in enumerate(lines) if "sam delete" in line)
        return lines[:back], lines[back:]

    def _typed(self, lines: list[str]) -> None:
        for line in lines:
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").partition("=")
                self.checkout.export(**{name: self._value(name) if "…" in value else value})
            else:
                self._step(line, lambda line=line: self.checkout.run(line))  # type: ignore[misc]

    def _value(self, name: str) -> str:
        """What a person would write for the README's dots."""
        if name == "SECRET":
            return self._outputs()["ConnectionSecret"]
        return {
            "HYBRID_SYNC_TARGET_DSN": self.ground.target.pooler.url(ADMIN, PASSWORD),
            "HYBRID_SYNC_LEGACY_DSN": self.ground.legacy.pooler.url(READER, PASSWORD),
        }[name]

    def _prepare(self) -> None:
        host = Host.this()
        self.checkout.settle(
            {
                "LambdaRuntime": f"python{host.python}",
                "LambdaArchitecture": host.architecture,
                "MaxConcurrency": "2",
                "RetryDelaySeconds": "1",
            }
        )
        for name, side in (("prod-ca-2021.crt", self.ground.target), ("rds-bundle.pem", self.ground.legacy)):
            (self.checkout.folder / name).write_text(side.server.authority.pem, "ascii")

    # --- what the deployment does -----------------------------------------------------------------------------

    def _sync(self, profile: str = "weekly") -> str:
        run = self._start(profile)
        self._ended(run)
        return run

    def _start(self, profile: str) -> str:
        run = f"{profile}-drill-{len(self.steps)}"
        self._client("stepfunctions").start_execution(
            stateMachineArn=self._outputs()["StateMachineArn"], name=run, input=json.dumps({"profile": profile})
        )
        return run

    def _ended(self, run: str) -> None:
        machine = self._outputs()["StateMachineArn"].replace(":stateMachine:", ":execution:")
        end = time.monotonic() + PATIENCE
        states = self._client("stepfunctions")
        while (told := states.describe_execution(executionArn=f"{machine}:{run}"))["status"] == "RUNNING":
            if time.monotonic() > end:
                raise Failed(f"Run {run} does not end.")
            time.sleep(0.1)
        [(status,)] = self._target("select status from hybrid_sync.run where run_id = %s", run) or [("absent",)]
        if told["status"] != "SUCCEEDED" or status not in GOOD:
            raise Failed(f"Run {run} ended {told['status']}, {status}: {told.get('error')} {told.get('cause')}")

    def _roll_back(self, run: str) -> None:
        lambdas, function = self._client("lambda"), self._outputs()["RollbackFunction"]
        more = True
        while more:
            answer = lambdas.invoke(FunctionName=function, Payload=json.dumps({"run_id": run}).encode())
            told = json.loads(answer["Payload"].read())
            if "FunctionError" in answer:
                raise Failed(f"Rollback of {run}: {told}")
            more = told["more"]
        if self._target("select 1 from hybrid_sync.run where run_id = %s and undone_by is null", run):
            raise Failed(f"Run {run} stands as it was.")
        with psycopg.connect(self._admin) as target:
            release(target, [held.entity for held in holds(target)])

    def _redeploy_in_mid_run(self) -> None:
        """Only the engine's layer changes, while a run waits for the pooler."""
        old = self._start("weekly")
        while not self._target("select 1 from hybrid_sync.run where run_id = %s", old):
            time.sleep(0.02)
        self.ground.target.pooler.pause()
        try:
            engine = self.checkout.folder / "layers" / "engine" / "hybrid_sync" / "__init__.py"
            engine.write_text(engine.read_text("utf-8") + "\n# another build\n", "utf-8")
            self.checkout.run("make deploy")
        finally:
            self.ground.target.pooler.resume()
        self._ended(old)
        new = self._sync()
        builds = dict(self._target("select run_id, build from hybrid_sync.run where run_id = any(%s)", [old, new]))
        first = self._target("select build from hybrid_sync.run order by started_at limit 1")[0][0]
        if builds[old] != first or builds[new] == first:
            raise Failed(f"The run at work had build {builds[old]}, the next one {builds[new]}, the first {first}.")

    # --- how it is judged -------------------------------------------------------------------------------------

    def _verdict(self) -> str:
        refused = refusals.unexpected(self.ground.aws.refusals)
        count = {kind: sum(one["kind"] == kind for one in refused) for kind in (refusals.PAYLOAD, refusals.DENIED)}
        most = self.ground.most
        told = (
            f"steps={len(self.steps)} refused_payloads={count[refusals.PAYLOAD]}"
            f" denied_calls={count[refusals.DENIED]} max_connections={most}"
        )
        if refused or not 0 < most <= SLOTS:
            raise Failed(f"{told}; refused: {refused[:5]}")
        return f"DEPLOY ok {told}"

    def _step(self, name: str, work: Callable[[], Result]) -> Result:
        began = time.monotonic()
        done = work()
        self.steps.append(name)
        self.say(f"{time.monotonic() - began:7.1f} s  {name}")
        return done

    def _look(self) -> Any:
        with psycopg.connect(self._admin, autocommit=True) as connection:
            return look(connection, catalog_of_project())

    def _target(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._admin, autocommit=True) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    @property
    def _admin(self) -> str:
        """The owner's own way, past the pooler."""
        return self.ground.target.direct

    def _outputs(self) -> dict[str, str]:
        return deploy.outputs(self.ground.aws.endpoint)

    def _client(self, service: str) -> Any:
        return deploy.client(service, self.ground.aws.endpoint)

"""The steps, each with its seconds; what the README says is typed as it stands there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg

from hybrid_sync.report.model import RunSummary
from hybrid_sync_cli.emulator import refusals
from hybrid_sync_cli.execution import catalog_of_project
from hybrid_sync_cli.sample import mutate
from hybrid_sync_cli.stack import deploy, supabase
from hybrid_sync_cli.stack.deploy import Host
from hybrid_sync_cli.untouched import look, touched
from tests.deploy_drill import readme
from tests.deploy_drill.checkout import Checkout, Failed
from tests.deploy_drill.ground import READER, Ground
from tests.deploy_drill.pooler import SLOTS

PATIENCE = 900.0
ADMIN = supabase.ADMIN
Result = TypeVar("Result")
ADDRESS = "AlertEmail=ops@example.com"
COMMAND = ".venv/bin/hybrid-sync"
CHECK = f"{COMMAND} check"
SYNC = f"{COMMAND} sync --profile weekly"


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
        first, away, back = self._split(readme.commands())
        self._typed(first)
        before = self._look()
        self._step("a week in legacy", lambda: mutate(self.ground.legacy.direct))
        second = self._step("second sync", self._sync)
        self._step("rollback", lambda: self._roll_back(second))
        self._step("redeploy in mid-run", self._redeploy_in_mid_run)
        self._typed(away)
        # The new stack knows neither the id secret nor the password that the worker has.
        deploy = next(n for n, line in enumerate(first) if line.startswith("make deploy")) + 1
        exports = [line for line in first[deploy:] if line.startswith("export ")]
        self._typed([*first[:deploy], *exports, *back])
        self._typed([f"{line} --new-password" if f"{COMMAND} install" in line else line for line in first[deploy:]])
        if touched(before, self._look()).ids:
            raise Failed("An id that was there before is another one after the redeploy.")
        return self._verdict()

    # --- what is typed ----------------------------------------------------------------------------------------

    def _split(self, lines: list[str]) -> tuple[list[str], list[str], list[str]]:
        """(the way to the first sync, the way out, what brings the secret back)."""
        away = next(n for n, line in enumerate(lines) if "--offline-secret" in line)
        back = next(n for n, line in enumerate(lines) if "--restore-secret" in line)
        return lines[:away], lines[away:back], lines[back:]

    def _typed(self, lines: list[str]) -> None:
        for line in lines:
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").partition("=")
                self.checkout.export(**{name: self._value(name) if "…" in value else value})
            else:
                line = line.replace(ADDRESS, f"{ADDRESS} {self._parameters()}")
                self._step(line, lambda line=line: self.checkout.run(line))  # type: ignore[misc]

    def _parameters(self) -> str:
        """What suits this machine."""
        return (
            f"LambdaArchitecture={Host.this().architecture} TargetConnections=8 LegacyConnections=8 RetryDelaySeconds=1"
        )

    def _value(self, name: str) -> str:
        """What a person would write for the README's dots."""
        return {
            "HYBRID_SYNC_TARGET_DSN": self.ground.target.pooled(ADMIN),
            "HYBRID_SYNC_LEGACY_DSN": self.ground.legacy.pooled(READER),
        }[name]

    def _prepare(self) -> None:
        self.checkout.ask_nobody()
        for name, side in (("prod-ca-2021.crt", self.ground.target), ("rds-bundle.pem", self.ground.legacy)):
            (self.checkout.folder / name).write_text(side.server.authority.pem, "ascii")

    # --- what the deployment does -----------------------------------------------------------------------------

    def _sync(self) -> str:
        """As the README has it; Failed unless rows and money add up."""
        summary = RunSummary.model_validate_json(self.checkout.run(f"{SYNC} --json"))
        if summary.status != "succeeded":
            raise Failed(f"Run {summary.run_id} ended {summary.status}.")
        return summary.run_id

    def _roll_back(self, run: str) -> None:
        told = json.loads(self.checkout.run(f"{COMMAND} rollback {run} --json"))
        if told["undone"]["conflicts"] or told["failed"]:
            raise Failed(f"Not all of {run} could be undone: {told}")
        self.checkout.run(f"{COMMAND} release {' '.join(told['held'])}")

    def _ended(self, execution: str) -> None:
        states, end = self._client("stepfunctions"), time.monotonic() + PATIENCE
        while (told := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
            if time.monotonic() > end:
                raise Failed(f"{execution} does not end.")
            time.sleep(0.1)
        if told["status"] != "SUCCEEDED":
            raise Failed(f"{execution} ended {told['status']}: {told.get('error')} {told.get('cause')}")

    def _redeploy_in_mid_run(self) -> None:
        """Only the engine's layer changes, while a run waits for the pooler."""
        old = "weekly-in-mid-run"
        execution = self._client("stepfunctions").start_execution(
            stateMachineArn=self._outputs()["StateMachineArn"], name=old, input='{"profile": "weekly"}'
        )["executionArn"]
        while not self._target("select 1 from hybrid_sync.run where run_id = %s", old):
            time.sleep(0.02)
        target = self.ground.target
        target.pooler.pause(target.database)
        try:
            engine = self.checkout.folder / "layers" / "engine" / "hybrid_sync" / "__init__.py"
            engine.write_text(engine.read_text("utf-8") + "\n# another build\n", "utf-8")
            [line] = [line for line in readme.commands() if line.startswith("make deploy")]
            self.checkout.run(line.replace(ADDRESS, f"{ADDRESS} {self._parameters()}"))
        finally:
            target.pooler.resume(target.database)
        self._ended(execution)
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

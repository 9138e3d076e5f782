"""Play one case through the engine's own steps, and say everything that does not hold."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.load import load
from hybrid_sync.contracts import RollbackTask
from hybrid_sync.errors import CatalogError, SyncError
from hybrid_sync.schema.install import install
from hybrid_sync.steps.retry_failure import retry_failure
from hybrid_sync.steps.rollback_run import rollback_run
from tests.cases.case import Case, Expect, Rows, Step
from tests.cases.ground import PASSWORD, Ground, Servers
from tests.cases.judge import silently_missing
from tests.engine.worlds import EngineWorld, run


def play(case: Case, servers: Servers) -> list[str]:
    """What does not hold, in sentences; empty when the case holds."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in case.catalog.items():
            Path(folder, f"{name}.yaml").write_text(text, encoding="utf-8")
        try:
            catalog = load(Path(folder))
        except CatalogError as error:
            said = str(error)
            if not case.refused:
                return [f"the catalog is refused: {said}"]
            return [f"the refusal does not say “{text}”: {said}" for text in case.refused if not _in(text, said)]
    if case.refused:
        return ["the catalog is not refused"]
    with servers.ground(case.legacy_options) as ground:
        return _Player(case, catalog, ground).play()


class _Player:
    """One case on its ground."""

    def __init__(self, case: Case, catalog: Catalog, ground: Ground) -> None:
        self._case = case
        self._ground = ground
        self._catalog = catalog
        self._wrong: list[str] = []
        self._runs = 0
        legacy = ground.legacy_as(case.legacy_role) if case.legacy_role else ground.legacy
        self._sql(ground.legacy, case.legacy)
        self._sql(ground.target_superuser, case.superuser_target)
        self._sql(ground.target, case.target)
        self._world = EngineWorld(catalog, legacy, install(ground.target, PASSWORD, catalog))

    def play(self) -> list[str]:
        for number, step in enumerate(self._case.steps, 1):
            before = len(self._wrong)
            self._step(step)
            self._wrong[before:] = [f"step {number}: {text}" for text in self._wrong[before:]]
        return self._wrong

    def _step(self, step: Step) -> None:
        if step.legacy is not None:
            self._sql(self._ground.legacy, step.legacy)
        if step.target is not None:
            self._sql(self._ground.target, step.target)
        if step.run is not None:
            self._run(step)
        if step.retry:
            self._retry()
        if step.rollback:
            self._rollback(step)
        if step.expect is not None:
            self._look(step.expect)

    # --- acts --------------------------------------------------------------------------------------------------

    def _sql(self, dsn: str, text: str) -> None:
        if not text.strip():
            return
        ground = self._ground
        for name, value in (
            ("{legacy_dsn}", ground.legacy), ("{target_dsn}", ground.target),
            ("{legacy_database}", ground.legacy_database),
        ):  # fmt: skip
            text = text.replace(name, value)
        with psycopg.connect(dsn, autocommit=True, client_encoding="UTF8") as connection:
            connection.execute(text.encode())

    def _run(self, step: Step) -> None:
        self._runs += 1
        run_id = self._run_id
        try:
            done = run(self._world, run_id, profile=step.run, **step.request)
        except SyncError as error:
            self._compare("outcome", "refused", step.outcome)
            self._hear(step, f"{error.code}: {error}")
            return
        self._compare("outcome", done.outcome.status, step.outcome)
        self._hear(step, self._told())
        for entity, status in step.entities.items():
            found = self._query(
                self._ground.target, "select status from hybrid_sync.run_entity where run_id = %s and entity = %s",
                run_id, entity,
            )  # fmt: skip
            self._compare(f"entity {entity}", found[0][0] if found else "not in the run", status)
        self._wrong += silently_missing(self._catalog, run_id, self._ground.legacy, self._ground.target_superuser)

    def _retry(self) -> None:
        messages, self._world.failure_queue.messages = self._world.failure_queue.messages, []
        for message in messages:
            retry_failure(self._world, message)

    def _rollback(self, step: Step) -> None:
        task = RollbackTask(run_id=self._run_id)
        while (done := rollback_run(self._world, task)).more:
            task = task.model_copy(update={"rollback_id": done.rollback_id})
        self._hear(step, self._told())

    # --- looks -------------------------------------------------------------------------------------------------

    @property
    def _run_id(self) -> str:
        return f"run-{self._runs}"

    def _told(self) -> str:
        """Everything that the runs have told people so far."""
        failures = self._query(
            self._ground.target_superuser,
            "select coalesce(failure::text, '') from hybrid_sync.run_entity"
            " union all select state || ' ' || error || ' ' || cause from hybrid_sync.run_failure",
        )
        queue = [message.model_dump_json() for message in self._world.failure_queue.messages]
        pages = list(self._world.reports.pages.values())
        documents = [json.dumps(document, ensure_ascii=False) for document in self._world.reports.documents.values()]
        alerts = [f"{subject}\n{body}" for subject, body in self._world.alerts.published]
        return "\n".join([*(row[0] for row in failures), *queue, *pages, *documents, *alerts])

    def _hear(self, step: Step, told: str) -> None:
        for text in step.says:
            if not _in(text, told):
                self._wrong.append(f"nothing says “{text}”" + (f": {told}" if len(told) < 500 else ""))
        for text in step.never:
            if _in(text, told):
                self._wrong.append(f"something says “{text}”")

    def _look(self, expect: Expect) -> None:
        for side, queries in ((self._ground.target_superuser, expect.target), (self._ground.legacy, expect.legacy)):
            for query, rows in queries.items():
                self._compare(query, self._query(side, query), rows)
        if expect.failed is not None:
            found = self._query(
                self._ground.target_superuser,
                "select entity, array_to_string(key, ','), reason, coalesce((to_jsonb(f)->>'rows')::int, 1)"
                " from hybrid_sync.failed_record f where status <> 'resolved' order by entity, key",
            )
            wanted = [[*line, 1] if len(line) == 3 else line for line in expect.failed]
            self._compare("failed records", found, wanted)

    def _query(self, dsn: str, query: str, *parameters: Any) -> Rows:
        with psycopg.connect(dsn, autocommit=True, client_encoding="UTF8", options="-c TimeZone=UTC") as connection:
            return [list(row) for row in connection.execute(query.encode(), parameters or None).fetchall()]

    def _compare(self, what: str, found: Any, wanted: Any) -> None:
        if _text(found) != _text(wanted):
            self._wrong.append(f"{what}: found {_short(found)}, not {_short(wanted)}")


def _text(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_text(item) for item in value]
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def _short(value: Any) -> str:
    text = str(_text(value))
    return text if len(text) <= 400 else f"{text[:400]}…"


def _in(text: str, said: str) -> bool:
    return text.lower() in said.lower()

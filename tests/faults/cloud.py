"""AWS's part of the world in one SQLite file that all worker processes share, and that fails within its contract.

The id cache is the engine's own `DynamoIdCache` over a client that throttles, takes a part of a request, forgets
writes and answers with older pages.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from hybrid_sync.alerts import Alert
from hybrid_sync.contracts import BatchTask, FailureMessage, Manifest, Message, PageKind, RunFailure
from hybrid_sync.erase.records import Erasure
from hybrid_sync.errors import AwsUnavailable

_TABLES = """
create table if not exists page (pk text primary key, ids blob, seal blob, older blob, older_seal blob);
create table if not exists manifest (run_id text, entity text, body text, primary key (run_id, entity));
create table if not exists message (n integer primary key, body text);
create table if not exists report (run_id text primary key, body text);
create table if not exists erasure (n integer primary key, body text);
create table if not exists execution (run_id text primary key, status text);
"""


class Store:
    """The shared file; every statement is a transaction of its own, so that a killed process leaves it whole."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, timeout=30, isolation_level=None, check_same_thread=False)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = off")
        self._db.executescript(_TABLES)

    def ask(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run one statement; its rows."""
        return self._db.execute(query, parameters).fetchall()

    def tell(self, ended: Mapping[str, str]) -> None:
        """How executions have ended."""
        for run_id, status in ended.items():
            self.ask("insert or replace into execution values (?, ?)", run_id, status)

    def clear(self) -> None:
        """As it was made."""
        self._db.executescript(
            "delete from page; delete from manifest; delete from message; delete from report;"
            "delete from erasure; delete from execution;"
        )

    def close(self) -> None:
        self._db.close()


class FaultyDynamo:
    """The two calls of DynamoDB that the cache makes; `unreliable` is the share of requests that go wrong somehow."""

    def __init__(self, store: Store, luck: random.Random, unreliable: float) -> None:
        self._store = store
        self._luck = luck
        self._unreliable = unreliable

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        [(table, asked)] = RequestItems.items()
        taken, left = self._split(asked["Keys"])
        found = []
        for key in taken:
            rows = self._store.ask("select ids, seal, older, older_seal from page where pk = ?", key["pk"]["S"])
            # An eventually consistent read may answer with the page as it was before.
            at = 2 if self._luck.random() < self._unreliable else 0
            if rows and rows[0][at] is not None:
                found.append({"pk": key["pk"], "ids": {"B": rows[0][at]}, "seal": {"B": rows[0][at + 1]}})
        return {"Responses": {table: found}, "UnprocessedKeys": {table: {"Keys": left}} if left else {}}

    def batch_write_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        [(table, asked)] = RequestItems.items()
        taken, left = self._split(asked)
        for request in taken:
            item = request["PutRequest"]["Item"]
            self._store.ask(
                "insert into page values (?, ?, ?, null, null) on conflict (pk) do update"
                " set older = page.ids, older_seal = page.seal, ids = excluded.ids, seal = excluded.seal",
                item["pk"]["S"], item["ids"]["B"], item["seal"]["B"],
            )  # fmt: skip
        return {"UnprocessedItems": {table: left} if left else {}}

    def _split(self, items: list[Any]) -> tuple[list[Any], list[Any]]:
        if self._luck.random() >= self._unreliable:
            return items, []
        if self._luck.random() < 0.5:
            told = {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": "slow down"}}
            raise ClientError(told, "BatchItem")
        some = self._luck.randrange(len(items) + 1)
        return items[:some], items[some:]


class StoredManifests:
    """`hybrid_sync.world.Manifests`: the first one written stays."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write_once(self, run_id: str, entity: str, tasks: Sequence[Message]) -> Manifest:
        body = json.dumps([task.model_dump(mode="json") for task in tasks])
        self._store.ask("insert into manifest values (?, ?, ?) on conflict do nothing", run_id, entity, body)
        return Manifest("store", f"{run_id}/{entity}", len(self._read(run_id, entity) or ()))

    def read(self, run_id: str, entity: str) -> list[BatchTask] | None:
        tasks = self._read(run_id, entity)
        return None if tasks is None else [BatchTask.model_validate(task) for task in tasks]

    def lines(self, bucket: str, key: str) -> list[Any]:
        """As a map of the state machine reads them; LookupError when nothing was written."""
        run_id, _, entity = key.rpartition("/")
        tasks = self._read(run_id, entity)
        if tasks is None:
            raise LookupError(f"There is no manifest {key}.")
        return tasks

    def _read(self, run_id: str, entity: str) -> list[Any] | None:
        rows = self._store.ask("select body from manifest where run_id = ? and entity = ?", run_id, entity)
        return list(json.loads(rows[0][0])) if rows else None


class StoredReports:
    """`hybrid_sync.world.Reports`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(self, run_id: str, document: Mapping[str, Any]) -> str:
        self._store.ask("insert or replace into report values (?, ?)", run_id, json.dumps(document))
        return f"store://{run_id}"

    def write_page(self, run_id: str, kind: PageKind, text: str) -> str:
        """The oracle reads no pages."""
        return f"store://{run_id}.{kind}"

    def read(self, run_id: str) -> dict[str, Any] | None:
        rows = self._store.ask("select body from report where run_id = ?", run_id)
        return dict(json.loads(rows[0][0])) if rows else None


class StoredErasures:
    """`hybrid_sync.erase.records.Erasures`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def numbers(self) -> list[int]:
        return [int(n) for (n,) in self._store.ask("select n from erasure order by n")]

    def read(self, number: int) -> Erasure:
        [(body,)] = self._store.ask("select body from erasure where n = ?", number)
        return Erasure.model_validate_json(body)

    def write(self, erasure: Erasure) -> bool:
        return bool(
            self._store.ask(
                "insert into erasure values (?, ?) on conflict do nothing returning n",
                erasure.number, erasure.model_dump_json(),
            )
        )  # fmt: skip


class StoredExecutions:
    """`hybrid_sync.world.Executions`: the driver plays them, and tells by the evening which have ended."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def status(self, run_id: str) -> str | None:
        rows = self._store.ask("select status from execution where run_id = ?", run_id)
        return str(rows[0][0]) if rows else None

    def failure(self, run_id: str) -> RunFailure | None:
        return None


class FaultyQueue:
    """`hybrid_sync.world.FailureQueue`: takes all messages, or some of them and then fails."""

    def __init__(self, store: Store, luck: random.Random, unreliable: float) -> None:
        self._store = store
        self._luck = luck
        self._unreliable = unreliable

    def send(self, messages: Sequence[FailureMessage]) -> None:
        for message in messages:
            if self._luck.random() < self._unreliable:
                raise AwsUnavailable("The queue does not answer.")
            self._store.ask("insert into message (body) values (?)", message.model_dump_json())


class SilentAlerts:
    """`hybrid_sync.world.Alerts`: nobody listens."""

    def publish(self, alert: Alert) -> None:
        """Told to nobody."""

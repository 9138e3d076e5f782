"""Keeps a weekly run at work that has many rows to bring."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bench.ondemand.ground import AT_WORK, status, weekly
from hybrid_sync.services.messages.jobs import CancelAsked, JobAnswer
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import Stack

# So many notifications like one that has arrived well.
_MORE = """
insert into dispatch_notification (sender, template_name, template_context, read, sent, send, item_id, item_type_id,
  recipient_id, created_at)
select sender, template_name, template_context, read, sent, send, item_id, item_type_id, recipient_id, created_at
from dispatch_notification, generate_series(1, %s) where id = %s
"""
_WELL = "select max(legacy_id) from system_messages where legacy_id is not null and archived_at is null"
_BROUGHT = "select coalesce(sum((result->>'inserted')::int), 0) from hybrid_sync.batch_done where run_id = any(%s)"
_STATUS = "select status from hybrid_sync.run where run_id = %s"


class Load:
    """Weekly runs, one after the other, each with so many new rows."""

    def __init__(self, stack: Stack, rows: int) -> None:
        self._stack = stack
        self._rows = rows
        self._runs: list[str] = []
        self.brought = 0

    @contextmanager
    def at_work(self) -> Iterator[Load]:
        """At the end the last run is stopped, and `brought` rows have arrived."""
        with psycopg.connect(self._stack.target_dsn, autocommit=True) as self._target:
            self.go_on()
            yield self
            self.brought = self._value(_BROUGHT, (self._runs,))
            if status(self._stack, self._runs[-1]) in AT_WORK:
                asked = CancelAsked(run_id=self._runs[-1])
                Deployment.here(self._stack).ask("cancel", asked, JobAnswer, patient=True)

    def go_on(self) -> None:
        """Return at once while a run is at work, else when the first rows of another one have arrived."""
        if self._runs and self._value(_STATUS, (self._runs[-1],)) == "running":
            return
        with psycopg.connect(self._stack.legacy_dsn) as legacy:
            legacy.execute(_MORE, (self._rows, self._value(_WELL)))
        self._runs.append(weekly(self._stack))
        while not self._value(_BROUGHT, (self._runs[-1:],)):
            if self._value(_STATUS, (self._runs[-1],)) not in (None, "running"):
                raise CliError("The weekly run has ended without a row, so no time means anything.")
            time.sleep(0.1)

    def _value(self, query: str, given: tuple[object, ...] = ()) -> object:
        found = self._target.execute(query, given).fetchone()  # type: ignore[arg-type]
        return found[0] if found else None

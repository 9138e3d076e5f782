"""Critical events: a payment changes in legacy, its change is asked for over HTTP, and somebody watches the target."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from http.client import HTTPConnection
from urllib.parse import urlsplit

import psycopg

from hybrid_sync.http.scopes import USUAL_SCOPES
from hybrid_sync.services.messages.tokens import CreateAsked, CreatedToken
from hybrid_sync_cli.deployment import Deployment
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import Stack

EVERY = 0.004
"""Seconds between two looks at the target while something is awaited: what is told is at most so much too long."""
PATIENCE = 120.0
_PAYMENTS = "select legacy_id from payments where legacy_id is not null and voided_at is null order by legacy_id"
_PAY = "update dispatch_payment set paid_price = paid_price + 1 where id = %s returning paid_price"
_SEEN = "select legacy_id, paid_amount from payments where legacy_id = any(%s)"


@dataclass
class Event:
    """One change; times are those of `time.monotonic`."""

    key: int
    paid: Decimal
    run_id: str = ""
    sent: float = 0.0
    accepted: float = 0.0
    seen: float = 0.0

    @property
    def seconds(self) -> float:
        """From before the request was sent until the change was seen in the target."""
        return self.seen - self.sent


@dataclass
class Watcher:
    """Looks at the target over a connection of its own, for as long as something is awaited."""

    target_dsn: str
    _awaited: list[Event] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _over: bool = False

    @contextmanager
    def watching(self) -> Iterator[Watcher]:
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()
            thread.join()

    def expect(self, event: Event) -> None:
        with self._changed:
            self._awaited.append(event)
            self._changed.notify_all()

    def wait(self) -> None:
        """Until all that was expected has been seen; CliError where something does not come."""
        with self._changed:
            while self._awaited:
                if not self._changed.wait(PATIENCE):
                    late = self._awaited[0]
                    raise CliError(f"Run {late.run_id} has not brought its row within {PATIENCE:.0f} seconds.")

    def _watch(self) -> None:
        with psycopg.connect(self.target_dsn, autocommit=True) as target:
            while True:
                with self._changed:
                    while not (self._awaited or self._over):
                        self._changed.wait()
                    if self._over:
                        return
                    keys = [event.key for event in self._awaited]
                self._seen(dict(target.execute(_SEEN, (keys,)).fetchall()))
                time.sleep(EVERY)

    def _seen(self, amounts: dict[int, Decimal]) -> None:
        now = time.monotonic()
        with self._changed:
            for event in list(self._awaited):
                if amounts.get(event.key, event.paid - 1) >= event.paid:
                    event.seen = now
                    self._awaited.remove(event)
            self._changed.notify_all()


class Caller:
    """A client of the HTTP trigger with a token of its own."""

    def __init__(self, stack: Stack, watcher: Watcher) -> None:
        self.stack = stack
        self._watcher = watcher
        self._url = urlsplit(stack.api_url)
        self.renew()
        with psycopg.connect(stack.target_dsn) as target:
            self.payments = [int(key) for (key,) in target.execute(_PAYMENTS).fetchall()]

    def renew(self) -> None:
        """Take another token: nobody has been asked about it."""
        asked = CreateAsked(name="bench", scopes=USUAL_SCOPES, days=1)
        self._token = Deployment.here(self.stack).ask("create-token", asked, CreatedToken).token

    def change(self, keys: Sequence[int]) -> list[Event]:
        """Take money for these payments, in legacy."""
        with psycopg.connect(self.stack.legacy_dsn, autocommit=True) as legacy:
            return [Event(key, legacy.execute(_PAY, (key,)).fetchone()[0]) for key in keys]  # type: ignore[index]

    def ask(self, event: Event) -> None:
        """Send the request, and have its row watched for."""
        path, body, headers = self.request(event)
        event.sent = time.monotonic()
        self._watcher.expect(event)
        connection = HTTPConnection(self._url.netloc, timeout=60)
        try:
            headers = {"Content-Type": "application/json", **headers}
            connection.request("POST", f"{self._url.path}{path}", body, headers)
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status != HTTPStatus.ACCEPTED:
            raise CliError(f"POST {path} was answered with {answer.status}.")
        event.accepted = time.monotonic()
        event.run_id = json.loads(said)["run_id"]

    def request(self, event: Event) -> tuple[str, str, dict[str, str]]:
        """Path, body and headers."""
        refs = [{"entity": "payments", "legacy_id": event.key}]
        return (
            "/v1/syncs", json.dumps({"refs": refs, "priority": "critical"}),
            {"Authorization": f"Bearer {self._token}"},
        )  # fmt: skip

    def any(self, luck: random.Random) -> int:
        return luck.choice(self.payments)

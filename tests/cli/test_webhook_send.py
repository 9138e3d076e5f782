"""`webhook send`: a sample that erases or merges people does so for good, and asks first."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from hybrid_sync.catalog.load import load
from hybrid_sync.catalog.webhooks import load_webhooks
from hybrid_sync.webhooks.signatures import KINDS, Secret
from hybrid_sync_cli.stack import home
from tests.cli.conftest import Command, announce
from tests.cli.gateway import Desk, gateway
from tests.report.records import create_schema

CATALOG = home.project_root() / "layers" / "catalog"
NOBODY_HEARS = "/v1/webhooks/registry did not answer"
"""The gateway serves operators alone, so that a sent event is told from one that was not."""


class Keyring:
    """Each source has one secret."""

    def secrets(self, _: str) -> tuple[Secret, ...]:
        return (Secret(KINDS["standard"].make(), "https://sync.example.com"),)


class Signing(Desk):
    keyring = Keyring()

    @property
    def webhooks(self) -> Any:
        return load_webhooks(self.catalog, CATALOG)


@pytest.fixture
def registry(target_db: str, hybrid_sync: Command) -> Iterator[Command]:
    """`webhook send registry` with these words."""
    with psycopg.connect(target_db, autocommit=True) as connection:
        create_schema(connection)
    desk = Signing(load(CATALOG), target_db)
    with gateway(desk) as address:
        announce(address, target_db)
        yield lambda *words: hybrid_sync("webhook", "send", "registry", *words)


@pytest.mark.parametrize(("event", "done"), [("patient.erased", "erases"), ("patient.merged", "merges")])
def test_an_event_about_people_is_sent_only_after_a_yes(
    registry: Command, monkeypatch: pytest.MonkeyPatch, event: str, done: str
) -> None:
    row = ("--key", "patients:3")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    said = registry(event, *row)
    assert (said.status, f"This event {done} patients:3, and nothing undoes it." in said.out) == (130, True)
    assert NOBODY_HEARS not in said.err
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert NOBODY_HEARS in registry(event, *row).err
    assert NOBODY_HEARS in registry(event, *row, "--yes").err

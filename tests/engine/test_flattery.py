"""A run with refused payments, stale rows and excluded ones: every format shows what independent SQL finds."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from rich.console import Console

from hybrid_sync.catalog.load import load
from hybrid_sync.report.model import RunSummary
from hybrid_sync.schema.install import install
from hybrid_sync_cli import tables
from hybrid_sync_cli.ending import ending
from hybrid_sync_cli.exits import exit_of
from tests.engine.worlds import EngineWorld, run

LEGACY = """
create table pay (id int primary key, amount numeric(12,2) not null, kind int not null default 1);
insert into pay select i, 537.05 + i * 0.11 from generate_series(1, 189) i;
insert into pay select i, 1000 from generate_series(190, 194) i;
insert into pay select i, 77.70, 2 from generate_series(195, 214) i;
create table entry (id int primary key, note text not null);
insert into entry select i, 'a' from generate_series(1, 951) i;
"""
TARGET = """
create table pays (id uuid primary key, legacy_id bigint unique, amount numeric(12,2) check (amount < 1000000));
create table entries (id uuid primary key, legacy_id bigint unique, note text check (note <> 'c'));
"""
CATALOG = {
    "pays": """
entity: pays
component: Payments
target: pays
sources:
  pay:
    from: pay p
    key: { legacy_id: p.id }
    columns: { amount: p.amount }
    rules:
      - { exclude: not_a_payment, when: p.kind = 2 }
money:
  - { column: amount, constant_currency: USD, headline: true }
""",
    "entries": """
entity: entries
target: entries
sources:
  entry:
    from: entry e
    key: { legacy_id: e.id }
    columns: { note: e.note }
""",
}


def execute(dsn: str, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(text.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def shop(legacy_db: str, target_db: str, tmp_path: Path) -> EngineWorld:
    execute(legacy_db, LEGACY)
    execute(target_db, TARGET)
    for name, text in CATALOG.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    catalog = load(tmp_path)
    return EngineWorld(catalog, legacy_db, install(target_db, "only-for-tests", catalog))


def every_format(world: EngineWorld, run_id: str) -> dict[str, str]:
    shown = io.StringIO()
    tables.report(RunSummary.model_validate(world.reports.documents[run_id]), Console(file=shown, width=400))
    return {
        "page": world.reports.pages[run_id, "html"],
        "markdown": world.reports.pages[run_id, "md"],
        "terminal": shown.getvalue(),
        "mail": world.alerts.published[-1][1],
    }


@pytest.mark.parametrize("profile", ["weekly", "daily"])
def test_no_format_flatters(shop: EngineWorld, legacy_db: str, target_db: str, profile: str) -> None:
    assert run(shop, "first").outcome.status == "succeeded"
    execute(legacy_db, "update pay set amount = amount + 2000000 where id between 190 and 194")
    execute(legacy_db, "update entry set note = case when id <= 300 then 'c' else 'b' end")

    done = run(shop, "second", profile=profile)

    [(legacy,)] = execute(legacy_db, "select sum(amount) from pay where kind <> 2")
    [(target,)] = execute(target_db, "select sum(amount) from pays")
    assert legacy - target == Decimal("10000000.00")
    assert (done.outcome.status, exit_of(done.outcome.status)) == ("degraded", 3)
    told = RunSummary.model_validate(shop.reports.documents["second"])
    [pays, entries] = sorted(told.entities, key=lambda e: e.entity, reverse=True)
    assert pays.conservation is not None and entries.conservation is not None
    assert (pays.conservation.current, pays.conservation.stale, pays.conservation.excluded) == (189, 5, 20)
    assert (entries.conservation.current, entries.conservation.stale) == (651, 300)
    [line] = pays.money
    assert (line.legacy - line.excluded, line.target, line.missing) == (legacy, target, legacy - target)
    assert (line.equal, line.agrees, told.adds_up) == (True, False, "explained")
    for name, text in every_format(shop, "second").items():
        for amount in (line.legacy, line.target, line.missing):
            assert f"USD {amount:,.2f}" in text, (name, amount)
        for number in ("840 of 1,145 rows", "305 stale", "20 excluded"):
            assert number in text, (name, number)
        assert "degraded" in text.lower(), name
        assert "money agrees" not in text.lower(), name


def test_where_nothing_failed_it_is_said_that_money_agrees(shop: EngineWorld) -> None:
    run(shop, "first")

    for name, text in every_format(shop, "first").items():
        assert "Money agrees to the last digit." in text, name


def test_money_that_legacy_has_no_more_never_simply_agrees(shop: EngineWorld, legacy_db: str) -> None:
    """The catalog ignores deletes, so the run succeeds: the target counts more than legacy, which every format says."""
    run(shop, "first")
    execute(legacy_db, "delete from pay where id = 3")
    assert run(shop, "second", profile="daily").outcome.status == "succeeded"

    told = RunSummary.model_validate(shop.reports.documents["second"])
    [pays] = [e for e in told.entities if e.money]
    [line] = pays.money
    assert (line.equal, line.agrees, line.pending_rows, told.adds_up) == (True, False, 1, "explained")
    assert line.missing == -line.pending_deletes != 0
    amount = f"USD {line.pending_deletes:,.2f}"
    for name, text in every_format(shop, "second").items():
        assert f"{amount} too much; pending deletes explain it ({amount} gone from legacy in 1 row); gone are: 3." in (
            text
        ), name
        assert "money agrees" not in text.lower(), name
    assert f"money that the target has, and that is gone from legacy: {amount}" in "\n".join(ending(told, 200))

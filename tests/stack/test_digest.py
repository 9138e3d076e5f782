"""The weekly digest as people get it: mailed by SES as HTML and text, with the databases' figures and no cell."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from hybrid_sync_cli.stack import Stack
from tests.drills.mailbox import ADDRESSES, Mail, mailed, verify
from tests.stack.test_trace import emulated
from tests.stack.world import fill

ENTITIES = ["offices", "profiles", "products"]
NOWHERE = "XX"
SHORTEST = 6
"""Letters of a text that stands for its cell and for nothing else."""


@pytest.fixture(scope="module")
def mail(deployed: Stack) -> Iterator[Mail]:
    """The digest of a weekly run."""
    fill(deployed)
    for address in ADDRESSES:
        verify(deployed, address)
    before = len(mailed(deployed))
    with in_no_known_country(deployed):
        run = emulated(deployed, "digest", {"profile": "weekly", "entities": ENTITIES})
        assert run.end == ("SUCCEEDED", "")
        [digest] = [mail for mail in mailed(deployed)[before:] if "/runs/digest" in mail.html]
        yield digest


@contextmanager
def in_no_known_country(stack: Stack) -> Iterator[None]:
    """One office's money has no currency."""
    one = "where id = (select max(id) from dispatch_office)"
    with psycopg.connect(stack.legacy_dsn, autocommit=True) as legacy:
        [(country,)] = legacy.execute(f"select country from dispatch_office {one}").fetchall()
        legacy.execute(f"update dispatch_office set country = '{NOWHERE}' {one}")
        yield
        legacy.execute(f"update dispatch_office set country = %s {one}", (country,))


def number(dsn: str, query: str) -> int:
    with psycopg.connect(dsn) as database:
        row = database.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def test_its_figures_are_those_of_the_databases(deployed: Stack, mail: Mail) -> None:
    legacy = "select (select count(*) from dispatch_office) + (select count(*) from auth_user)"
    legacy += " + (select count(*) from dispatch_product)"
    failed = "select count(*) from hybrid_sync.failed_record where entity = 'offices' and reason = 'unknown_enum'"
    due, missed = number(deployed.legacy_dsn, legacy), number(deployed.target_dsn, failed)
    rows = f"{due - missed:,} of {due:,} rows"
    assert missed == 1
    for told in (text_of(mail.html), " ".join(mail.text.split())):
        assert rows in told
        assert re.search(rf"\b{missed}\b", told)
    assert "Unknown code : 1, 1 new. Add the code to values in the entity's catalog file" in text_of(mail.html)
    assert mail.subject == "hybrid-sync ALERT: weekly run degraded"
    link = f"{deployed.api_url}/dashboard/runs/digest"
    assert f'href="{link}"' in mail.html and link in mail.text


def test_its_money_agrees_as_both_databases_do(deployed: Stack, mail: Mail) -> None:
    sums = "select sum({})::bigint from {}"
    legacy = number(deployed.legacy_dsn, sums.format("price", "dispatch_product"))
    assert legacy == number(deployed.target_dsn, sums.format("list_price", "products where legacy_id is not null"))
    assert "Money Agrees 1 sum in USD" in text_of(mail.html)


def test_nothing_of_a_cell_stands_in_it(deployed: Stack, mail: Mail) -> None:
    found, looked = [], 0
    with psycopg.connect(deployed.legacy_dsn) as legacy:
        columns = legacy.execute(
            "select table_name, column_name from information_schema.columns where data_type in ('text',"
            " 'character varying') and table_name in ('dispatch_office', 'auth_user', 'dispatch_product')"
        ).fetchall()
        for table, column in columns:
            name = sql.Identifier(column)
            cells = sql.SQL("select distinct {0} from {1} where length({0}) >= %s").format(name, sql.Identifier(table))
            for (cell,) in legacy.execute(cells, (SHORTEST,)).fetchall():
                looked += 1
                found += [(table, column)] if cell in html.unescape(mail.whole) else []
    assert (found, looked > 100) == ([], True)

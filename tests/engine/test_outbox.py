"""The outbox that docs/webhooks.md shows, word for word, on the PostgreSQL of this run (CI: 18 and 15)."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from hybrid_sync_cli.stack import home


def shown(name: str) -> str:
    page = Path(home.project_root(), "docs/webhooks.md").read_text("utf-8")
    [found] = re.findall(rf"<!-- {name} -->\n```sql\n(.*?)```", page, re.DOTALL)
    return str(found)


@pytest.fixture
def outbox(legacy_db: str) -> str:
    with psycopg.connect(legacy_db) as legacy:
        legacy.execute("create table dispatch_payment (id int primary key, total_price numeric)")
        legacy.execute(shown("outbox"))
    return legacy_db


def test_a_committed_change_is_told_and_another_is_not(outbox: str) -> None:
    with psycopg.connect(outbox) as legacy:
        legacy.execute("insert into dispatch_payment select n, 1 from generate_series(1, 3) n")
        legacy.execute("update dispatch_payment set total_price = 2 where id > 1")
        legacy.execute("update dispatch_payment set total_price = 3 where id > 100")
    with psycopg.connect(outbox) as legacy:
        legacy.execute("update dispatch_payment set total_price = 4")
        legacy.rollback()
        taken = legacy.execute(shown("relay")).fetchall()
    assert sorted((row[1], row[2]) for row in taken) == [("payment.captured", [1, 2, 3]), ("payment.captured", [2, 3])]


def test_two_that_take_lines_out_share_them_and_what_is_not_answered_stays(outbox: str) -> None:
    with psycopg.connect(outbox) as legacy:
        for n in range(150):
            legacy.execute("insert into dispatch_payment values (%s, 1)", (n,))
    with psycopg.connect(outbox) as one, psycopg.connect(outbox) as other:
        first, second = (c.execute(shown("relay")).fetchall() for c in (one, other))
        assert (len(first), len(second)) == (100, 50)
        assert not {row[0] for row in first} & {row[0] for row in second}
        one.rollback()
        other.commit()
        again = one.execute(shown("relay")).fetchall()
    assert {row[0] for row in again} == {row[0] for row in first}

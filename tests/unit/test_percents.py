"""Percent signs of names and texts reach the server as they are, with parameters and without."""

from __future__ import annotations

import pytest
from psycopg import sql

from hybrid_sync.rest.statements import Said
from hybrid_sync.session import doubled

NAMED = sql.SQL("select {} from {} where a = %s and b = {}").format(
    sql.Identifier("%s"), sql.SQL("{}, b").format(sql.Identifier("s%", "%(x)s")), sql.Literal("50 %")
)


@pytest.mark.parametrize(
    ("query", "written"),
    [
        (NAMED, """select "%%s" from "s%%"."%%(x)s", b where a = %s and b = '50 %%'"""),
        (sql.Identifier("%"), '"%%"'),
        (sql.SQL("select %s"), "select %s"),
        ("select %s", "select %s"),
        (b"select %s", b"select %s"),
    ],
)
def test_names_and_texts_alone_are_doubled(query: object, written: str | bytes) -> None:
    found = doubled(query)
    assert (found.as_string() if isinstance(found, sql.Composable) else found) == written


def test_the_rest_api_gets_names_as_they_are() -> None:
    said = """select "%s" from "s%"."%(x)s", b where a = 7 and b = '50 %'"""
    assert Said.of(NAMED, (7,)).text == said
    assert Said.of(sql.SQL("select {}").format(sql.Identifier("%")), None).text == 'select "%"'

"""The canonical form says "equal" exactly where the write would leave a row as it is, and so on any two servers."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

VALUES: dict[str, list[str | None]] = {
    "boolean": ["true", "false", None],
    "integer": ["0", "-1", "2147483647", None],
    "bigint": ["0", "-9223372036854775808", None],
    "numeric": ["1", "1.0", "1.00", "0", "-0", "0.000", "NaN", "Infinity", "1e-20", "12345678901234.5"],
    "numeric(12,2)": ["1", "1.0", "1.00", "-1", "0.1", "NaN", None],
    "double precision": ["0", "-0", "NaN", "Infinity", "0.1", "0.30000000000000004", "1e-300", None],
    "real": ["0", "-0", "0.1", "NaN"],
    "text": ["", " ", "a", "A", "a ", "ä", "a\u0308", "\\N", "x,y", None, "x" * 20_000],
    "character(4)": ["a", "a ", "ab"],
    "jsonb": ["1", "1.0", "1.00", "true", "null", '{"a": 1, "b": 2}', '{"b": 2, "a": 1}', '{"a": 1, "a": 2}', "[1]",
              '"\\u00e4"', '"ä"', "{}", "[]", None],
    "date": ["2026-11-23", "0044-03-15 BC", "infinity", "-infinity", None],
    "timestamptz": ["2026-11-23 12:00+00", "2026-11-23 21:00+09", "2026-11-23 12:00:00.000001+00", "infinity",
                    "0044-03-15 00:00+00 BC", None],
    "timestamp": ["2026-11-23 12:00", "2026-11-23 12:00:00.000001"],
    "interval": ["1 day", "24:00", "1 mon", "30 days", "00:00:00.000001"],
    "time": ["24:00", "00:00"],
    "timetz": ["12:00+00", "21:00+09"],
    "uuid": ["00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-00000000000a"],
    "bytea": ["", "\\x00", "\\x0000", None],
    "inet": ["10.0.0.1", "10.0.0.1/32", "10.0.0.1/8", "::1"],
    "integer[]": ["{}", "{1,2}", "[0:1]={1,2}", "{NULL}", "{{1},{2}}", None],
    "text[]": ["{}", "{a,b}", '{"a,b"}', "{NULL}", '{"NULL"}'],
}  # fmt: skip


@pytest.mark.parametrize("kind", VALUES)
def test_two_values_have_one_canonical_form_exactly_where_the_write_finds_them_unchanged(
    kind: str, target_db: str
) -> None:
    with psycopg.connect(target_db, autocommit=True) as connection:
        type_name = sql.SQL(kind)  # type: ignore[arg-type]
        connection.execute(sql.SQL("create temp table v (n int, x {})").format(type_name))
        for n, value in enumerate(VALUES[kind]):
            connection.execute(sql.SQL("insert into v values (%s, %s::text::{})").format(type_name), (n, value))
        rows = connection.execute(
            "select a.n, b.n, md5(record_send(row(a.x))) = md5(record_send(row(b.x))),"
            " not row(a.x)::record *<> row(b.x)::record from v a, v b"
        ).fetchall()
    assert len(rows) == len(VALUES[kind]) ** 2
    assert [(VALUES[kind][a], VALUES[kind][b]) for a, b, same, unchanged in rows if same != unchanged] == []


def test_no_two_rows_run_into_each_other(target_db: str) -> None:
    with psycopg.connect(target_db, autocommit=True) as connection:
        row = connection.execute(
            "select count(distinct md5(record_send(row(a, b)))) from (values ('ab', 'c'), ('a', 'bc'), ('', 'abc'),"
            " (null, 'abc'), ('abc', null), ('abc', ''), (null, null), ('', '')) as v(a, b)"
        ).fetchone()
    assert row == (8,)

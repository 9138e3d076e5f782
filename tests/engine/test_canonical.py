"""The canonical form says "equal" exactly where the write would leave a row as it is, and so on any two servers."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from hybrid_sync.compare.digests import Row, draw

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


INTEGERS = [
    None, 0, 1, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**32, 2**32 + 1, -(2**32), 2**40, 2**62, 2**63 - 1,
    -(2**63),
]  # fmt: skip
"""PostgreSQL hashes 0 as it hashes 2^32 + 1."""
SMALL = [None, -1, 0, 1, 40, 2**15 - 1]
TOLD, SEEDS = sql.SQL("told"), draw()


def summed(connection: psycopg.Connection[tuple[object, ...]], row: Row, values: str) -> list[tuple[object, ...]]:
    """a, b, c and both sums of each of these rows (a, b, c, told)."""
    query = (
        "with r as (select a, b, c, told, {} from ({}) v (a, b, c, told)) select a, b, c, {} from r group by a, b, c"
    )
    named, sums = (sql.SQL(", ").join(some) for some in (row.named(TOLD), row.added_up(SEEDS)))
    rows = sql.SQL(values)  # type: ignore[arg-type]
    return connection.execute(sql.SQL(query).format(named, rows, sums)).fetchall()


A, B, C = sql.SQL("a"), sql.SQL("b"), sql.SQL("c")
NUMBERS = ((None, A), (B, C))


def test_sums_over_integers_are_equal_exactly_where_the_rows_are(target_db: str) -> None:
    numbers = ", ".join("(null::int8)" if n is None else f"('{n}'::int8)" for n in INTEGERS)
    small = ", ".join("(null::int2)" if n is None else f"('{n}'::int2)" for n in SMALL)
    with psycopg.connect(target_db, autocommit=True) as connection:
        found = summed(
            connection, Row((A, B, C), NUMBERS),
            f"with n (n) as (values {numbers}), s (n) as (values {small}) select x.n, s.n, y.n, true"
            " from n x cross join s cross join n y where x.n is not null",
        )  # fmt: skip
    assert len(found) == (len(INTEGERS) - 1) * len(SMALL) * len(INTEGERS)
    for sums in (3, 4):
        assert len({line[sums] for line in found}) == len(found)


@pytest.mark.parametrize("numbers", [NUMBERS, ()])
def test_what_must_equal_no_other_row_does_not(
    numbers: tuple[tuple[sql.SQL | None, sql.SQL], ...], target_db: str
) -> None:
    values = "values (7, 0, 1, true), (8, 0, 1, true), (9, 0, 1, false)"
    with psycopg.connect(target_db, autocommit=True) as connection:
        sent, unsent = (
            {a: sums for a, _, _, *sums in summed(connection, Row((A, B, C), numbers, but), values)}
            for but in (None, sql.SQL("a = 7"))
        )
    assert [n for n in (7, 8, 9) if sent[n] == unsent[n]] == [8, 9]
    assert None not in unsent[7]  # else it would equal a row that is not there
    assert sent[9] == [None, None]

"""A value arrives exactly, or its row is a failed record: never a third."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hybrid_sync.errors import StructureMismatch
from tests.engine.matrix import Pair, Way, equal

NUMBERS = ["0", "1", "-1", "1.5", "2.50", "2.5", "0.1", "-0.05", "100", "99900", "12345", "99999.995", "0.00001",
           "0.01", "2147483647", "2147483648", "-2147483648", "-2147483649", "2147483647.4", "9223372036854775807",
           "9223372036854775808", "16777216", "16777217", "9007199254740993", "123456789.123456789", "1e50", "1e-50",
           "1e400", "1e-400", "NaN", "Infinity", "-Infinity", None]  # fmt: skip
FLOATS = ["0", "-0", "1", "-1", "2.5", "3.49", "0.1", "0.30000000000000004", "123456789.12345679", "1e300", "1e-300",
          "5e-324", "2147483647", "2147483648", "-2147483648", "-2147483649", "9007199254740992", "9007199254740994",
          "9.223372036854775807e18", "16777217", "NaN", "Infinity", "-Infinity", None]  # fmt: skip
INTEGERS = ["0", "1", "-1", "32767", "32768", "2147483647", "2147483648", "-2147483649", "9223372036854775807",
            "-9223372036854775808", "9007199254740993", "16777217", "999", "1000", None]  # fmt: skip
STAMPS = ["2024-10-17 11:13:43.617115", "2024-01-01 00:00:00", "2024-01-01 23:59:59.999999", "2024-01-01 00:00:00.5",
          "2024-01-01 00:00:00.123", "infinity", "-infinity", "0001-01-01 00:00:00 BC",
          "294276-12-31 23:59:59.999999", "4713-01-01 00:00:00 BC", None]  # fmt: skip
INTERVALS = ["0", "1 day", "24:00", "25:00", "-01:00", "1 mon", "30 days", "1 day 00:00:01.987654", "00:00:01.5",
             "01:00", "1 year 2 mons", "2 years", "1 year 3 days 04:05:06", "04:05", "04:00", "-00:00:00.000001",
             "178000000 years", None]  # fmt: skip
TEXTS = ["", " ", "a", "ab ", " ab", "abc", "abcd", "abc ", "abc  ", "ä€😀", "x" * 63, "x" * 64, "é" * 32, None]

MATRIX: list[tuple[str, list[str], list[str | None]]] = [
    ("numeric", ["numeric", "numeric(5,2)", "numeric(2,5)", "numeric(10,0)", "int2", "int4", "int8", "real",
                 "double precision", "text", "varchar(4)"], NUMBERS),
    ("numeric(10,4)", ["numeric(10,2)", "numeric(12,4)", "numeric(8,4)", "int4"],
     ["1.2345", "2.9999", "1.5", "100000.25", "7", "NaN", None]),
    ("double precision", ["double precision", "real", "numeric", "numeric(10,2)", "int2", "int4", "int8", "text"],
     FLOATS),
    ("real", ["real", "numeric", "int4", "int8"], ["0", "-0", "0.1", "2.5", "1e-45", "3.4e38", "NaN", "Infinity",
                                                 "16777216", "2147483648", None]),
    ("int8", ["int8", "int4", "int2", "numeric", "numeric(5,2)", "numeric(3,0)", "double precision", "real", "text",
              "varchar(3)"], INTEGERS),
    ("int4", ["int8", "int2", "double precision", "real", "numeric(10,2)"], ["0", "-1", "2147483647", "-2147483648",
                                                                     "16777217", "32768", None]),
    ("timestamptz", ["timestamptz", "timestamptz(0)", "timestamptz(3)", "text"], STAMPS),
    ("timestamptz(3)", ["timestamptz(3)", "timestamptz(6)", "timestamptz(2)"], ["2024-10-17 11:13:43.617", "infinity"]),
    ("timestamp", ["timestamp", "timestamp(0)", "timestamp(3)"], STAMPS),
    ("time", ["time", "time(0)", "time(3)"], ["00:00", "24:00", "23:59:59.999999", "12:00:00.5", "12:00:00.123", None]),
    ("timetz", ["timetz", "timetz(2)"], ["00:00+02", "24:00-03", "23:59:59.999999+00", "12:00:00.25+05:30", None]),
    ("interval", ["interval", "interval(0)", "interval day to second(0)", "interval day to second", "interval year",
                  "interval month", "interval day", "interval hour", "interval minute", "interval year to month",
                  "interval day to hour", "interval second(1)"], INTERVALS),
    ("interval day to hour", ["interval hour", "interval day", "interval(0)", "interval second(2)"],
     ["1 day", "1 day 05:00", "1 mon"]),
    ("text", ["text", "varchar", "varchar(3)", "char(3)", "bpchar", "name", '"char"'], TEXTS),
    ("varchar(4)", ["varchar(4)", "varchar(3)", "text"], ["", "abcd", "abc", "ab  ", "äöü€", None]),
    ("bpchar", ["bpchar", "text", "varchar(3)"], ["", "ab", "ab ", "abc ", "abcd", None]),
    ("name", ["name", "text", "varchar(10)"], ["", "a", "x" * 63, "x" * 11, None]),
    ("bit(8)", ["bit(8)", "varbit(8)", "varbit", "varbit(4)"], ["10101010", "00000000", None]),
    ("varbit", ["varbit", "varbit(4)", "bit(4)"], ["", "1", "1010", "10100", None]),
    ("numeric(10,4)[]", ["numeric(10,2)[]", "numeric(5,2)[]", "numeric[]"],
     ["{}", "{1.2345,2.9999}", "{1.25,7}", "{NULL,1.5}", "[0:1]={1,2}", "{{1},{2.001}}", "{1000.5}", None]),
    ("numeric[]", ["numeric(3,1)[]", "numeric(2,5)[]"], ["{NaN}", "{Infinity}", "{1.5}", "{100}", "{0.00001}", None]),
    ("text[]", ["text[]", "varchar(3)[]", "varchar[]"],
     ["{}", "{abc,abcd}", "{abc}", "{NULL}", '{"abc "}', "{{a},{b}}"]),
    ("timestamptz[]", ["timestamptz(0)[]"], ['{"2024-10-17 11:13:43.6+00"}', '{"2024-10-17 11:13:43+00",infinity}']),
    ("interval[]", ["interval second(0)[]"], ["{00:00:01.5}", "{00:00:01,1 day}"]),
    ("int4[]", ["int8[]", "numeric(5,1)[]", "int4[]"], ["{}", "{1,2}", "{99999}", "{NULL}", "[2:3]={1,2}"]),
    ("cidr", ["cidr", "inet"], ["10.0.0.0/8", "::/0", None]),
    ("inet", ["inet", "cidr"], ["10.0.0.1/8", "10.0.0.0/8", "10.0.0.1", "::1/64", None]),
    ("jsonb", ["jsonb", "json"], ['{"a": 1.0}', "null", "[]", None]),
    ("json", ["json"], ['{"b" : 1, "a":1}', "null", None]),
]  # fmt: skip

OTHERS: list[tuple[Pair, list[str | None]]] = [
    (Pair("real", "double precision", "cast", target_text="{c}::real::text"), ["0.1", "-0", "NaN", "3.4e38", "1e-45"]),
    (Pair("boolean", "int4", "cast", target_text="{c}::boolean::text"), ["true", "false", None]),
    (Pair("boolean", "numeric(3,1)", "cast", target_text="({c} = 1)::text"), ["true", "false", None]),
    (Pair("int8", "boolean", "cast", target_text="{c}::int4::text"),
     ["0", "1", "2", "-1", "9223372036854775807", None]),
    (Pair("timestamp", "date", "cast", target_text="{c}::timestamp::text"), STAMPS),
    (Pair("date", "timestamp", "cast", target_text="{c}::date::text"),
     ["2024-01-01", "infinity", "-infinity", "5874897-12-31", "294276-12-31", "294277-01-01", "4713-01-01 BC", None]),
    (Pair("time", "interval", "cast"), ["00:00:00", "24:00:00", "23:59:59.999999", None]),
    (Pair("time", "interval second(0)", "cast"), ["00:00:00", "24:00:00", "23:59:59.999999", None]),
    (Pair("interval", "time", "cast", target_text="{c}::interval::text"), INTERVALS),
    (Pair("interval", "time(0)", "cast", target_text="{c}::interval::text"), INTERVALS),
    (Pair("char(5)", "text", legacy_text="rtrim({c}::text)"), ["ab", "abcde", "", None]),
    (Pair("char(5)", "char(8)", target_text="rtrim({c}::text)", legacy_text="rtrim({c}::text)"), ["ab", "abcde", None]),
    (Pair("char(5)", "char(3)", target_text="rtrim({c}::text)", legacy_text="rtrim({c}::text)"), ["ab", "abcde", None]),
    (Pair("char(5)[]", "char(3)[]", target_text="{c}::text[]::text", legacy_text="{c}::text[]::text"),
     ["{ab}", "{abcde}", "{abc,NULL}"]),
    (Pair("int4[]", "text[]", "cast"), ["{1,2}", "{NULL}", "[0:0]={7}"]),
    (Pair("interval[]", "varchar(6)[]", "cast"), ["{1 day}", "{24:00}", None]),
]  # fmt: skip


@pytest.fixture
def way(legacy_db: str, target_db: str) -> Iterator[Way]:
    found = Way(legacy_db, target_db)
    yield found
    found.close()


def _wrong(way: Way, pair: Pair, values: list[str | None]) -> list[str]:
    """Every value that neither arrived nor failed, or that the comparison takes for what it is not."""
    plan = way.prepare(pair, values)
    failed = way.carry(plan)
    ours, theirs = way.texts(pair)
    name = f"{pair.source} -> {pair.target} ({pair.form})"
    wrong = [
        f"{name}: {ours[n]} arrived as {theirs.get(n)}"
        for n in ours
        if (n in theirs) == (n in failed) or (n in theirs and not equal(ours[n], theirs[n], signed=_signed(pair)))
    ]
    for n in theirs:
        digests = way.compared(plan, n)
        if digests is None or (n != 1 and 1 not in theirs and digests[0] != digests[1]):
            wrong.append(f"{name}: {ours[n]} is not compared as equal")
    for n in failed:
        # What PostgreSQL makes of it by itself must differ from what legacy has, whatever the checks said.
        if way.write_anyway(pair, values[n]) and not _same(way, pair, n):
            digests = way.compared(plan, n)
            if digests is not None and digests[0] == digests[1]:
                wrong.append(f"{name}: {values[n]} is compared as equal to what the write would make of it")
    return wrong


def _same(way: Way, pair: Pair, n: int) -> bool:
    """What was written anyway is the value after all: a real of 2147483648 is exact, and shown as 2.1474836e+09."""
    if "real" in (pair.source, pair.target):
        exact = "{c}::float8::text"
        ours = exact if pair.source == "real" else pair.legacy_text
        theirs = exact if pair.target == "real" else pair.target_text
        pair = Pair(pair.source, pair.target, legacy_text=ours, target_text=theirs)
    in_legacy, in_target = way.texts(pair)
    return equal(in_legacy[n], in_target[1], signed=_signed(pair))


def _signed(pair: Pair) -> bool:
    """Whether the target's type tells -0 from 0."""
    return not pair.target.startswith(("int", "numeric"))


ZEROS = {"numeric": "0", "numeric(10,2)": "0.00", "int2": "0", "int4": "0", "int8": "0", "double precision": "-0",
         "real": "-0", "text": "-0"}  # fmt: skip


@pytest.mark.parametrize("source", ["double precision", "real"])
@pytest.mark.parametrize("target", ZEROS)
def test_a_negative_zero_arrives_as_it_is_where_there_is_one_and_as_0_elsewhere(
    way: Way, source: str, target: str
) -> None:
    pair = Pair(source, target, "cast")
    plan = way.prepare(pair, ["-0", "0"])
    assert way.carry(plan) == {}
    assert way.texts(pair)[1] == {0: ZEROS[target], 1: ZEROS[target].removeprefix("-")}
    for key in (0, 1):
        way.target.execute(f"delete from x where legacy_id <> {key}".encode())
        digests = way.compared(plan, key)
        assert digests is not None and digests[0] == digests[1]
        way.target.execute("truncate x")
        way.carry(plan)


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: str(row[0]))
def test_a_value_arrives_exactly_or_its_row_is_failed(way: Way, row: tuple[str, list[str], list[str | None]]) -> None:
    source, targets, values = row
    wrong: list[str] = []
    for target in targets:
        for form in ("sql", "cast"):
            try:
                wrong += _wrong(way, Pair(source, target, form), values)
            except StructureMismatch as error:
                if form == "cast":
                    wrong.append(f"{source} -> {target} is refused: {error}")
    assert wrong == []


@pytest.mark.parametrize("row", OTHERS, ids=lambda row: f"{row[0].source}-{row[0].target}")
def test_a_cast_whose_text_changes_its_form_keeps_the_value(way: Way, row: tuple[Pair, list[str | None]]) -> None:
    assert _wrong(way, *row) == []

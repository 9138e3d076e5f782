"""What cannot be exact is refused when the catalog meets its databases: by name, with what to write instead."""

from __future__ import annotations

import psycopg
import pytest

from hybrid_sync.errors import StructureMismatch
from tests.engine.small import compiled, entity, small_world
from tests.engine.worlds import run

A = "create table a (id uuid primary key, legacy_id bigint unique, c {})"


def refusal(legacy_db: str, target_db: str, source: str, target: str, form: str = "sql", before: str = "") -> str:
    world = small_world(
        legacy_db, target_db, f"{before}; create table a (id int primary key, c {source})",
        f"{before}; {A.format(target)}", entity(columns={"c": {form: "a.c"}}),
    )  # fmt: skip
    with pytest.raises(StructureMismatch) as caught:
        compiled(world)
    return str(caught.value)


# --- keys and references -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "named"),
    [("numeric(10,1)", "numeric(10,1)"), ("numeric(10,0)", "numeric(10,0)"), ("numeric", "numeric"), ("real", "float4"),
     ("double precision", "float8"), ("text", "text"), ("boolean", "bool"), ("uuid", "uuid")],
)  # fmt: skip
def test_a_key_or_a_reference_that_is_no_integer_is_refused(
    legacy_db: str, target_db: str, kind: str, named: str
) -> None:
    world = small_world(
        legacy_db, target_db,
        f"create table a (id {kind} primary key); create table k (id int primary key, pid {kind})",
        "create table a (id uuid primary key, legacy_id bigint unique);"
        "create table k (id uuid primary key, legacy_id bigint unique, a_id uuid references a)",
        entity(), entity("k", references={"a_id": {"to": "a", "key": "a.pid"}}),
    )  # fmt: skip
    for name, written in (("a", "`a.id`"), ("k", "`a.pid`")):
        with pytest.raises(StructureMismatch, match="not an integer") as caught:
            compiled(world, name)
        assert f"{written}, is {named} in legacy" in caught.value.message
        assert ("::bigint`" in caught.value.remedy) == (kind not in ("text", "boolean", "uuid"))


def test_a_domain_over_an_integer_is_a_key(legacy_db: str, target_db: str) -> None:
    world = small_world(
        legacy_db, target_db, "create domain whole as int; create domain number as whole;"
        "create table a (id number primary key); insert into a values (7)",
        "create table a (id uuid primary key, legacy_id bigint unique)", entity(),
    )  # fmt: skip
    assert run(world, "r", profile="weekly").total("a")["inserted"] == 1


def test_a_key_column_of_the_target_that_is_no_integer_is_refused(legacy_db: str, target_db: str) -> None:
    world = small_world(
        legacy_db, target_db, "create table a (id int primary key)",
        "create table a (id uuid primary key, legacy_id text unique)", entity(),
    )  # fmt: skip
    with pytest.raises(StructureMismatch, match="legacy_id is text, not an integer"):
        compiled(world)


# --- types by name -----------------------------------------------------------------------------------------------

TYPES = (
    "create type mood as enum ('sad', 'ok'); create type comp as (a int, b text);"
    "create type span as range (subtype = int4); create domain small as int check (value < 10)"
)


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        ("mood[]", "mood[]", ["mood", "text[]"]),
        ("int[]", "small[]", ["small", "text[]"]),
        ("comp", "comp", ["comp", "one by one"]),
        ("span", "span", ["span", "lower()"]),
        ("money", "money", ["money", "::numeric"]),
        ("regclass", "regclass", ["regclass", "::text"]),
        ("timestamp", "timestamptz", ["timestamp", "at time zone"]),
        ("timestamptz", "date", ["timestamptz", "at time zone"]),
        ("text", "jsonb", ["json: a.c"]),
        ("int4", "jsonb", ["to_jsonb(a.c)"]),
        ("mood", "int4", ["mood"]),
        ("xid", "xid", ["xid"]),
    ],
)  # fmt: skip
def test_types_that_cannot_be_exact_are_named_with_what_to_write(
    legacy_db: str, target_db: str, source: str, target: str, says: list[str]
) -> None:
    sentence = refusal(legacy_db, target_db, source, target, before=TYPES)
    assert [text for text in says if text not in sentence] == []
    assert "type 1" not in sentence


@pytest.mark.parametrize(
    "target", ["date", "timestamp", "timestamptz", "int4", "int8", "numeric", "boolean", "uuid", "interval", "bytea",
               "inet", "jsonb", "real"]
)  # fmt: skip
def test_a_text_that_could_raise_is_refused_in_a_cast(legacy_db: str, target_db: str, target: str) -> None:
    assert "write " in refusal(legacy_db, target_db, "text", target, "cast").lower()


@pytest.mark.parametrize(
    ("source", "target"),
    [("timestamptz", "date"), ("timestamptz", "timestamp"), ("timestamptz", "time"), ("timestamp", "timestamptz"),
     ("date", "timestamptz"), ("time", "timetz")],
)  # fmt: skip
def test_a_cast_that_only_the_zone_of_a_session_decides_is_refused(
    legacy_db: str, target_db: str, source: str, target: str
) -> None:
    assert "Say the zone" in refusal(legacy_db, target_db, source, target, "cast")


def test_json_goes_into_jsonb_only(legacy_db: str, target_db: str) -> None:
    assert "makes jsonb" in refusal(legacy_db, target_db, "text", "text", "json")


# --- identical types ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values"),
    [("tsvector", ["'a:1B b:2'", "''"]), ("tsquery", ["'a & !b'"]), ("int4range", ["'[1,5)'", "'empty'", "'(,)'"]),
     ("tstzrange", ["'[2024-01-01,infinity)'"]), ("int4multirange", ["'{[1,2),[5,7)}'"]),
     ("daterange[]", ["'{\"[2024-01-01,)\"}'"]),
     ("macaddr8", ["'08:00:2b:01:02:03:04:05'"]), ("pg_lsn", ["'16/B374D848'"]), ("point", ["'(1,2.5)'"]),
     ("polygon", ["'((0,0),(1,1),(1,0))'"]), ("jsonpath", ["'$.a'"]), ("oid", ["4294967295"]), ("mood", ["'ok'"]),
     ("small", ["7"]), ("ints", ["'{1,2}'"]), ("nested", ["1.25"]), ("citext", ["'Ab'"]),
     ("hstore", ["'a=>1, b=>NULL'"])],
)  # fmt: skip
def test_identical_types_are_accepted_and_arrive(legacy_db: str, target_db: str, kind: str, values: list[str]) -> None:
    before = (
        f"create extension citext; create extension hstore; {TYPES};"
        "create domain ints as int[]; create domain price as numeric(5,2); create domain nested as price"
    )
    rows = ", ".join(f"({n}, {value})" for n, value in enumerate([*values, "null"]))
    world = small_world(
        legacy_db, target_db, f"{before}; create table a (id int primary key, c {kind}); insert into a values {rows}",
        f"{before}; {A.format(kind)}", entity(columns={"c": "a.c"}),
    )  # fmt: skip
    assert run(world, "r", profile="weekly").outcome.status == "succeeded"
    assert run(world, "again", profile="weekly").total("a")["updated"] == 0
    with psycopg.connect(legacy_db) as legacy, psycopg.connect(target_db) as target:
        assert (
            legacy.execute("select id, c::text from a order by 1").fetchall()
            == target.execute("select legacy_id, c::text from a order by 1").fetchall()
        )


def test_domains_are_judged_by_what_lies_under_all_of_them(legacy_db: str, target_db: str) -> None:
    world = small_world(
        legacy_db, target_db,
        "create table a (id int primary key, c numeric, d text[]);"
        "insert into a values (1, 1.25, '{abc}'), (2, 1.255, '{abc}'), (3, 1.2, '{abcd}')",
        "create domain price as numeric(5,2); create domain nested as price; create domain tags as varchar(3)[];"
        "create table a (id uuid primary key, legacy_id bigint unique, c nested, d tags)",
        entity(columns={"c": "a.c", "d": "a.d"}),
    )  # fmt: skip
    run(world, "r", profile="weekly")
    with psycopg.connect(target_db) as target:
        assert target.execute("select legacy_id, c::text, d::text from a").fetchall() == [(1, "1.25", "{abc}")]
        failed = target.execute(
            "select key[1], reason, column_name from hybrid_sync.failed_record order by 1"
        ).fetchall()
        assert failed == [(2, "numeric_scale", "c"), (3, "value_too_long", "d")]


# --- constants ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("constant", "target", "fits"),
    [("abcdef", "varchar(3)", False), ("1.005", "numeric(10,2)", False), (7, "int4", True),
     ("1.50", "numeric(10,2)", True), (True, "text", True), (None, "date", True), ("abc", "tag", True)],
)  # fmt: skip
def test_a_constant_arrives_as_it_is_written_or_is_refused(
    legacy_db: str, target_db: str, constant: object, target: str, fits: bool
) -> None:
    world = small_world(
        legacy_db, target_db, "create table a (id int primary key); insert into a values (1)",
        f"create domain tag as varchar(3); {A.format(target)}", entity(columns={"c": {"constant": constant}}),
    )  # fmt: skip
    if not fits:
        with pytest.raises(StructureMismatch, match="exactly"):
            compiled(world)
        return
    assert run(world, "r", profile="weekly").total("a")["inserted"] == 1

"""A catalog file is text with lines: nothing in it is guessed, repeated in secret, or read twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_sync.catalog.document import MAX_BYTES, decode, parse
from hybrid_sync.catalog.expressions import check_one_per_row, check_single, check_steady
from hybrid_sync.catalog.load import load
from hybrid_sync.catalog.names import identifier, quoted, relation_parts, relation_text
from hybrid_sync.errors import CatalogError
from tests.unit.test_catalog_load import PEOPLE, mistakes


@pytest.mark.parametrize("spelled", ["NO", "yes", "on", "12:30", "0x1F", "010", "1_000", "1e3", ".inf", "2026-01-02"])
def test_a_scalar_is_the_text_that_stands_there(spelled: str) -> None:
    assert parse("a.yaml", f"a: {spelled}\nb: [{spelled}]\n{spelled}: c").data() == {
        "a": spelled, "b": [spelled], spelled: "c",
    }  # fmt: skip


@pytest.mark.parametrize("null", ["~", "null", "Null", "NULL", ""])
def test_only_null_is_no_text_and_only_bare(null: str) -> None:
    assert parse("a.yaml", f"a: {null}").data() == {"a": None}
    assert parse("a.yaml", f"a: '{null}'").data() == {"a": null}


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "people.yaml").write_bytes(b"\xef\xbb\xbf" + PEOPLE.replace("\n", "\r\n").encode())
    assert load(tmp_path)["people"].sources["person"].key == {"legacy_id": "p.id"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: &x [*x]", "a.yaml:2: *x stands inside what it repeats"),
        ("a: *x", "a.yaml:1: nothing before this line is marked &x"),
        ("a: 1\nA: 2\na: 3", "a.yaml:3: the key a is also in line 1"),
        ("a: {b: 1,\n 'b': 2}", "a.yaml:2: the key b is also in line 1"),
        ("<<: {a: 1}", "a.yaml:1: YAML 1.2 has no merge key"),
        ("a: !!int 1", "a.yaml:1: tags are not used"),
        ("a: !!python/object:os.system x", "a.yaml:1: tags are not used"),
        ("[" * 9_999, "nested more than 40 deep"),
        ('a: "\\0"', "NUL"),
        ('a: "\\ud800"', "surrogate"),
        ("a: \x07", "a.yaml:1: a character here is not allowed"),
        ("a:\n\t- b", "a.yaml:2: this is not YAML (a tab stands where spaces must)"),
        ("? [a]\n: b", "a.yaml:1: a key must be a text"),
        ("a: 1\n...\nb: 2", "a.yaml:3: a second document"),
    ],
)
def test_what_a_catalog_cannot_mean_is_refused_by_line(text: str, says: str) -> None:
    with pytest.raises(CatalogError) as caught:
        parse("a.yaml", text)
    assert says in caught.value.message


def test_a_billion_laughs_are_counted_and_not_told() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(CatalogError, match="50,000 parts"):
        parse("a.yaml", "\n".join(lines))


def test_files_that_are_no_entity_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_bytes(PEOPLE.encode() + b"\n# \xff\n")
    (tmp_path / "empty.yaml").touch()
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "huge.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    (tmp_path / "lost.yaml").symlink_to(tmp_path / "nowhere")
    told = mistakes(tmp_path, people=PEOPLE)
    assert [line.split(":")[0] for line in told] == [
        "bad.yaml", "empty.yaml", "folder.yaml", "huge.yaml", "lost.yaml",
    ]  # fmt: skip
    assert told[0] == "bad.yaml:10: this is not UTF-8 text: save the file as UTF-8."


def test_a_file_that_would_be_overlooked_is_told(tmp_path: Path) -> None:
    (tmp_path / "orders.yml").write_text(PEOPLE)
    told = mistakes(tmp_path, people=PEOPLE)
    assert told == ["orders.yml:1: entity files end in .yaml: rename it to orders.yaml."]


def test_a_large_file_is_not_decoded() -> None:
    with pytest.raises(CatalogError, match="larger than"):
        decode("a.yaml", b"\xff" * (MAX_BYTES + 1))


@pytest.mark.parametrize(
    ("written", "name"),
    [("orders", "orders"), ('"Order Items"', "Order Items"), ('"a""b"', 'a"b'), ("größe", "größe"), ('"a.b"', "a.b")],
)
def test_a_name_is_read_as_sql_reads_it(written: str, name: str) -> None:
    assert identifier(written) == name
    assert identifier(quoted(name)) == name


@pytest.mark.parametrize("wrong", ["Orders", "user-id", "1st", "", '"', '"a', 'a"b"', "a b", "a;b", "x" * 64, '"\x01"'])
def test_a_name_that_sql_would_read_otherwise_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        identifier(wrong)


def test_a_relation_is_taken_apart_outside_of_its_quotes() -> None:
    assert relation_parts('"my.schema"."b.c"') == ("my.schema", "b.c")
    assert relation_parts("orders") == ("orders",)
    assert relation_text('"public"."orders"') == "public.orders"
    with pytest.raises(ValueError, match="lower-case"):
        relation_text("a.b.c")


@pytest.mark.parametrize(
    "sound",
    [
        "a.name", "a.x::numeric(12,2)", "'--'", "'a;b'", "$$a;--$$", "E'\\''", "coalesce(a.b, ')')", 'a."x;--y"',
        "a.tags[1]", "a.x % 2", "a.data->>'k'",
        "(select max(b.x) from b where b.a = a.id)", "not exists (select 1 from b)",
        "a.x operator(pg_catalog.+) 1", "array(select unnest(a.tags) order by 1)", "a.count", "b.now", "my.random(a.x)",
        "a.id between 1 and 2", "case a.x when 1 then 'a' end", "a.x at time zone 'UTC'",
    ],
)  # fmt: skip
def test_an_expression_of_one_row_passes(sound: str) -> None:
    check_single(sound)
    check_one_per_row(sound)
    check_steady(sound)


@pytest.mark.parametrize(
    "wrong",
    [
        "", " ", "a.x -- y", "a.x /* y */", "a.x; drop table b", "a.x)", "(a.x", "a.x, a.y", "$1", "'a", '"a', "$x$ a",
        "a.x) or (true", "a[1", "(]", "E'\\'",
    ],
)  # fmt: skip
def test_more_or_less_than_one_expression_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_single(wrong)


@pytest.mark.parametrize("wrong", ["max(a.x)", "sum(a.x) over (order by a.y)", "unnest(a.x)", "pg_catalog.count(*)"])
def test_what_changes_how_many_rows_there_are_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="subselect"):
        check_one_per_row(wrong)


@pytest.mark.parametrize(
    "wrong", ["random()", "NOW ()", "current_date", "(select now())", "pg_catalog.clock_timestamp()"]
)
def test_what_changes_while_the_row_does_not_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="differs from read to read"):
        check_steady(wrong)


def test_a_condition_may_ask_what_time_it_is() -> None:
    check_steady("a.at > now() - interval '1 year'", moments=True)
    with pytest.raises(ValueError, match="random"):
        check_steady("random() < 0.5", moments=True)

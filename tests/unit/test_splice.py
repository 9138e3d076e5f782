"""Splicing changes the integers it must change and not one other byte."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from operator import itemgetter
from random import Random

import pytest
from psycopg import sql

from hybrid_sync.catalog.compile import ReadPlan, ReferenceSlot, Verdict
from hybrid_sync.catalog.json_text import as_jsonb
from hybrid_sync.keys import decode_key, encode_key
from hybrid_sync.rows.columns import HEADER, TRAILER, SplicedRows
from hybrid_sync.rows.scan import scan
from hybrid_sync.rows.splice import splice
from tests.properties import given, st

NULL = b"\xff\xff\xff\xff"


def plan(*slots: ReferenceSlot, checked: tuple[str, ...] = ()) -> ReadPlan:
    empty = sql.SQL("").format()
    return ReadPlan(
        "things", "thing", empty, empty, ("legacy_id",), (sql.SQL("t.id"),), (8,),
        (Verdict("exclude", "unwanted"), Verdict("fail", "unknown_enum", "kind")), empty, empty, slots, checked,
        ("note",),
    )  # fmt: skip


def field(value: bytes | None) -> bytes:
    return NULL if value is None else struct.pack(">i", len(value)) + value


def number(value: int | None) -> bytes | None:
    return None if value is None else value.to_bytes(8, "big", signed=True)


def row(key: int, *fields: bytes | None, verdict: int | None = None) -> bytes:
    code = None if verdict is None else struct.pack(">h", verdict)
    parts = [field(number(key)), field(code), *(field(f) for f in fields)]
    return struct.pack(">h", len(parts)) + b"".join(parts)


def mint(keys: list[bytes]) -> list[bytes]:
    return [b"M" * 8 + key[-8:] for key in keys]


PERSON = ("people", "person")
REQUIRED = ReferenceSlot("person_id", (PERSON,), required=True, deferred=False)
DEFERRED = ReferenceSlot("person_id", (PERSON,), required=False, deferred=True)
EITHER = ReferenceSlot("about_id", (PERSON, ("visits", "visit")), required=False, deferred=False)


def one(slot: ReferenceSlot, *references: int | None, parents: Mapping[int, bytes] | None = None):
    found = {PERSON: {number(k): v for k, v in (parents or {}).items()}, ("visits", "visit"): {}}
    chosen = plan(slot)
    return splice(chosen, scan(chosen, [row(7, *(number(r) for r in references), b"note")]), {}, found, mint)  # type: ignore[arg-type]


@given(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=200) | st.none(), st.integers(-(2**63), 2**63 - 1))
def test_every_byte_behind_the_references_is_kept(key: int, note: bytes | None, parent: int) -> None:
    chosen = plan(REQUIRED)
    uuid = bytes(range(16))
    batch = splice(
        chosen,
        scan(chosen, [row(key, number(parent), note)]),
        {},
        {PERSON: {number(parent): uuid}},
        mint,  # type: ignore[dict-item]
    )
    (spliced,) = batch.new
    expected = (
        struct.pack(">h", 4) + field(*mint([field(number(key))])) + field(number(key)) + field(uuid) + field(note)
    )
    assert spliced.data == expected
    assert decode_key(spliced.key) == (key,)


@given(st.lists(st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)), max_size=5))
def test_a_key_survives_encoding(keys: list[tuple[int, int]]) -> None:
    assert [decode_key(encode_key(key, (4, 8))) for key in keys] == keys


def test_a_known_row_keeps_its_uuid() -> None:
    chosen = plan(REQUIRED)
    old = b"o" * 16
    scanned = scan(chosen, [row(7, number(1), b"n")])
    batch = splice(chosen, scanned, {scanned.rows[0].key: old}, {PERSON: {number(1): b"p" * 16}}, mint)  # type: ignore[dict-item]
    assert (len(batch.new), batch.new.ids) == (0, [])
    assert old in batch.known[0].data


def test_a_missing_parent_waits_and_says_for_whom() -> None:
    batch = one(REQUIRED, 5)
    assert (len(batch.new), [w.parent_key for w in batch.waiting]) == (0, [5])


def test_a_required_reference_that_is_null_fails_the_row() -> None:
    assert [r.reason for r in one(REQUIRED, None).rejected] == ["missing_parent"]


def test_a_deferred_reference_without_parent_is_written_as_null_and_pends() -> None:
    batch = one(DEFERRED, 5)
    assert len(batch.new) == 1
    assert [(p.column, p.parent_key) for p in batch.pending] == [("person_id", 5)]


def test_two_parents_of_a_generic_reference_are_ambiguous() -> None:
    assert [r.reason for r in one(EITHER, 5, 6, parents={5: b"p" * 16}).rejected] == ["ambiguous_reference"]


def test_a_generic_reference_takes_the_alternative_that_is_there() -> None:
    assert b"p" * 16 in one(EITHER, 5, None, parents={5: b"p" * 16}).new[0].data


def test_verdicts_exclude_or_fail_a_row() -> None:
    chosen = plan(REQUIRED)
    found = scan(chosen, [row(1, number(1), b"n", verdict=0), row(2, number(1), b"n", verdict=1)])
    assert [decode_key(k) for k in found.excluded] == [(1,)]
    assert [(r.key, r.reason, r.column) for r in found.rejected] == [((2,), "unknown_enum", "kind")]


def test_a_key_that_comes_twice_is_nobodys_row() -> None:
    chosen = plan(REQUIRED)
    found = scan(chosen, [row(1, number(1), b"a"), row(2, number(1), b"b"), row(1, number(1), b"c")])
    assert [decode_key(r.key) for r in found.rows] == [(2,)]
    assert [(r.key, r.reason) for r in found.rejected] == [((1,), "duplicate_key")]


def test_json_that_jsonb_cannot_hold() -> None:
    good = [b'{"a": [1, 2.5e3, null, "\\u00e9"]}', b"1", b'"x"', b'{"a": "\\\\u0000"}', b"1e400", b' {"a": 1}\n']
    bad = [
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": "\\u0000"}',
        b'{"a": "\\ud800"}',
        b'{"a": 1,}',
        b'{"a": 1, "a": 2}',
        b'{"a": 1} 2',
        b"[1]]",
        b"",
        b" ",
        b"\xff",
        b"[" * 100_000,
        b"1e-20000",
        b'{"a": 0.' + b"0" * 16_383 + b"1}",
    ]
    assert [as_jsonb(text) for text in good] == [b"\x01" + text for text in good]
    for text in bad:
        with pytest.raises(ValueError, match="bad_json"):
            as_jsonb(text)


MIXED = ReadPlan(
    "things", "thing", sql.SQL("").format(), sql.SQL("").format(), ("legacy_id",), (sql.SQL("t.id"),), (8,),
    (Verdict("exclude", "unwanted"), Verdict("fail", "unknown_enum", "kind")), sql.SQL("").format(),
    sql.SQL("").format(), (replace(DEFERRED, column="first_id"), replace(DEFERRED, column="second_id")), {}, ("note",),
)  # fmt: skip
KNOWN = {number(n): bytes([n]) * 16 for n in range(3)}


@given(st.integers(0, 2**32))
def test_a_page_of_mixed_rows_is_what_each_row_says(seed: int) -> None:
    drawn = Random(seed)
    choices = [range(15), (None, None, None, 0, 1), (None, 0, 1, 2, 3), (None, 0, 1, 2, 3), (None, b"", b"note")]
    rows = sorted(([drawn.choice(some) for some in choices] for _ in range(drawn.randrange(12))), key=itemgetter(0))
    read = [row(key, number(a), number(b), note, verdict=verdict) for key, verdict, a, b, note in rows]
    found = scan(MIXED, read)
    batch = splice(MIXED, found, {}, {PERSON: KNOWN}, mint)  # type: ignore[dict-item]
    counted = Counter(key for key, verdict, *_ in rows if verdict != 0)
    expected = [one for one in rows if one[1] is None and counted[one[0]] == 1]
    assert [decode_key(key) for key in found.excluded] == [(key,) for key, verdict, *_ in rows if verdict == 0]
    assert sorted((r.key[0], r.reason, r.rows) for r in found.rejected) == sorted(
        [(key, "unknown_enum", 1) for key, verdict, *_ in rows if verdict == 1 and counted[key] == 1]
        + [(key, "duplicate_key", count) for key, count in counted.items() if count > 1]
    )
    assert found.read == len({key for key, *_ in rows})
    assert [one.data for one in batch.new] == [
        struct.pack(">h", 5) + b"".join(map(field, (*mint([field(number(key))]), number(key), _id(a), _id(b), note)))
        for key, _, a, b, note in expected
    ]
    pending = [
        (key, name, n) for key, _, a, b, _ in expected for name, n in (("first_id", a), ("second_id", b)) if n == 3
    ]
    assert [(*decode_key(p.key), p.column, p.parent_key) for p in batch.pending] == pending


def _id(legacy: int | None) -> bytes | None:
    return None if legacy is None else KNOWN.get(number(legacy))


@given(st.lists(st.integers(0, 300_000), max_size=5), st.integers(0, 1500))
def test_a_copy_is_sent_in_chunks_of_bounded_size_and_every_byte_once(sizes: list[int], small: int) -> None:
    bodies = [bytes(size) for size in sizes] + [b"x"] * small
    keys = [struct.pack(">q", n) for n in range(len(bodies))]
    rows = SplicedRows(keys, b"head", [[b"i" * 16] * len(keys), keys, bodies], 2)
    [first, *chunks, last] = rows.chunks()
    assert (first, last) == (HEADER, TRAILER)
    assert b"".join(chunks) == b"".join(one.data for one in rows)
    assert all(len(chunk) < 200_000 or chunk.count(b"head") == 1 for chunk in chunks)

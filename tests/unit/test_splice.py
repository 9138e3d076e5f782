"""Splicing changes the integers it must change and not one other byte."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from hybrid_sync.catalog.compile import ReadPlan, ReferenceSlot, Verdict
from hybrid_sync.catalog.json_text import as_jsonb
from hybrid_sync.keys import decode_key, encode_key
from hybrid_sync.rows.scan import scan
from hybrid_sync.rows.splice import splice

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


def mint(key: bytes) -> bytes:
    return b"M" * 8 + key[-8:]


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
    expected = struct.pack(">h", 4) + field(mint(field(number(key)))) + field(number(key)) + field(uuid) + field(note)
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
    assert (batch.new, batch.minted) == ([], {})
    assert old in batch.known[0].data


def test_a_missing_parent_waits_and_says_for_whom() -> None:
    batch = one(REQUIRED, 5)
    assert (batch.new, [w.parent_key for w in batch.waiting]) == ([], [5])


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
    good = [b'{"a": [1, 2.5e3, null, "\\u00e9"]}', b"1", b'"x"', b'{"a": "\\\\u0000"}', b"1e400"]
    bad = [
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": "\\u0000"}',
        b'{"a": "\\ud800"}',
        b'{"a": 1,}',
        b"",
        b"\xff",
        b"[" * 100_000,
        b"1e-20000",
        b'{"a": 0.' + b"0" * 16_383 + b"1}",
    ]
    assert [as_jsonb(text) for text in good] == [b"\x01" + text for text in good]
    for text in bad:
        with pytest.raises(ValueError, match="bad_json"):
            as_jsonb(text)

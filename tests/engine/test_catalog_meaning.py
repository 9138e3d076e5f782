"""What a catalog cannot mean in its two databases is told when the entity is planned, with everything else at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from hybrid_sync.catalog.load import load
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.postgres import connect
from hybrid_sync.schema.install import install
from hybrid_sync.schema.plans import compile_all, compile_entity

Told = Callable[..., str]
LEGACY = "create table a (id int primary key, code int, active boolean, name text)"
TARGET = "create table a (id uuid primary key, legacy_id bigint unique, short varchar(3), n int, word text, b boolean"


@pytest.fixture
def told(legacy_db: str, target_db: str, tmp_path: Path) -> Told:
    def compiled(columns: str, more: str = "") -> str:
        with psycopg.connect(legacy_db, autocommit=True) as legacy, psycopg.connect(target_db, autocommit=True) as t:
            legacy.execute(LEGACY)
            t.execute(f"{TARGET} {more})".encode())
        (tmp_path / "a.yaml").write_text(
            "entity: a\ntarget: a\nsources:\n  a:\n    from: a a\n    key: {legacy_id: a.id}\n"
            f"    columns: {columns}\n"
        )
        catalog = load(tmp_path)
        worker = install(target_db, "only-for-tests", catalog)
        with connect(legacy_db, "legacy") as legacy_side, connect(worker, "target") as target_side:
            refused = ""
            try:
                compile_entity("a", catalog, legacy_side, target_side)
            except StructureMismatch as mismatch:
                refused = str(mismatch)
            # Among others it is not told what is wrong, only that something is.
            among_others = (
                contextlib.nullcontext() if not refused else pytest.raises((StructureMismatch, psycopg.Error))
            )
            with among_others:
                compile_all("any", ["a"], catalog, legacy_side, target_side)
        return refused

    return compiled


@pytest.mark.parametrize(
    "columns",
    [
        "{word: {enum: a.code, values: {1: one, 01: uno}}}",
        "{word: {enum: a.active, values: {true: live, yes: alive}}}",
    ],
)
def test_two_codes_of_one_value_are_refused(told: Told, columns: str) -> None:
    assert "are the same value in legacy's type" in told(columns)


@pytest.mark.parametrize("code", ["many", "0x1F", "1_000", "1.5", "NO"])
def test_a_code_that_the_type_does_not_know_is_named(told: Told, code: str) -> None:
    assert f"legacy's type has no value that is written {code}." in told(
        f"{{word: {{enum: a.code, values: {{1: a, {code}: b}}}}}}"
    )


@pytest.mark.parametrize(
    ("column", "constant"), [("short", "long"), ("n", "0x1F"), ("n", "1_000"), ("n", "x"), ("b", "2")]
)
def test_a_constant_that_would_not_arrive_as_written_is_refused(told: Told, column: str, constant: str) -> None:
    assert f"a.{column}: the constant {constant} does not fit" in told(f"{{{column}: {{constant: {constant}}}}}")


def test_everything_that_does_not_fit_is_told_at_once(told: Told) -> None:
    said = told(
        "{lost: a.name, n: {constant: x}}", ", must text not null, also int not null, kept int not null default 1"
    )
    for part in ("no column lost", "a.must is NOT NULL", "a.also is NOT NULL", "the constant x does not fit"):
        assert part in said
    assert "kept" not in said

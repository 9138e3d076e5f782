"""One value on its whole way: compiled for two columns, read in binary, looked at, spliced, written, compared.

What arrives is judged by SQL of its own, which knows nothing of the engine: both values as text, on the server that
holds each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import psycopg
from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.compile import ReadPlan, compile_source
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.shape import TargetColumn, TargetTable
from hybrid_sync.compare.canonical import canonical
from hybrid_sync.legacy import rows
from hybrid_sync.pgtypes import ask_types
from hybrid_sync.postgres import Connection, answer, connect, transaction
from hybrid_sync.rounds import alone
from hybrid_sync.rows.scan import scan
from hybrid_sync.rows.splice import splice
from hybrid_sync.schema.legacy_structure import types_in_rounds
from hybrid_sync.write.write import copy_rows

SAME = "{c}::text"


@dataclass(frozen=True)
class Pair:
    """Values of one legacy type on their way into a column of a target type."""

    source: str
    target: str
    form: str = "sql"
    legacy_text: str = SAME
    target_text: str = SAME


class Way:
    """Two servers with one table each."""

    def __init__(self, legacy_dsn: str, target_dsn: str) -> None:
        self.legacy: Connection = connect(legacy_dsn, "legacy")
        self.target: Connection = connect(target_dsn, "target")

    def close(self) -> None:
        self.legacy.close()
        self.target.close()

    def prepare(self, pair: Pair, values: Sequence[str | None]) -> ReadPlan:
        """Fresh tables with the values in legacy, and the plan; StructureMismatch where the pair is refused."""
        for connection, columns in ((self.legacy, f"id int8, x {pair.source}"), (self.target, _stored(pair))):
            connection.execute(f"drop table if exists x; create table x ({columns})".encode())
        for n, value in enumerate(values):
            self.legacy.execute(f"insert into x values (%s, %s::text::{pair.source})".encode(), (n, value))
        self.entity = Entity.model_validate(
            {
                "entity": "x", "target": "x",
                "sources": {"x": {"from": "x x", "key": {"legacy_id": "x.id"}, "columns": {"c": {pair.form: "x.x"}}}},
            }
        )  # fmt: skip
        natural = alone(self.legacy, types_in_rounds(self.entity, "x"))
        return compile_source(self.entity, "x", self._table(), natural, {})

    def carry(self, plan: ReadPlan) -> dict[int, str]:
        """Write every row that is accepted; the reasons of the others, by key."""
        with transaction(self.legacy, "legacy", read_only=True):
            scanned = scan(plan, list(rows.read(self.legacy, plan, sql.SQL("true"))))
        spliced = splice(plan, scanned, {}, {}, lambda keys: [key[-16:].rjust(16, b"\0") for key in keys])
        names = sql.SQL(", ").join(sql.Identifier(c) for c in plan.target_columns)
        copy_rows(self.target, sql.SQL("copy public.x ({}) from stdin (format binary)").format(names), spliced.new)
        return {r.key[0]: r.reason for r in scanned.rejected}

    def texts(self, pair: Pair) -> tuple[dict[int, str | None], dict[int, str | None]]:
        """Every value of both sides as text, by key."""
        with transaction(self.legacy, "legacy"), transaction(self.target, "target"):
            ours = self.legacy.execute(f"select id, {pair.legacy_text.format(c='x')} from public.x".encode()).fetchall()
            theirs = self.target.execute(
                f"select legacy_id, {pair.target_text.format(c='c')} from public.x".encode()
            ).fetchall()
        return dict(ours), dict(theirs)

    def write_anyway(self, pair: Pair, value: str | None) -> bool:
        """Store what PostgreSQL's own conversion makes of the value; False where it refuses."""
        self.target.execute("truncate x")
        try:
            self.target.execute(
                f"insert into x values (gen_random_uuid(), 1, (%s::text::{pair.source})::{pair.target})".encode(),
                (value,),
            )
        except psycopg.Error:
            return False
        return True

    def compared(self, plan: ReadPlan, key: int) -> tuple[str, str] | None:
        """Both checksums of a row, the key left out; None where legacy cannot compute it."""
        form = canonical(Catalog({"x": self.entity}), plan)
        with transaction(self.legacy, "legacy", read_only=True), transaction(self.target, "target"):
            try:
                ours = self.legacy.execute(
                    sql.SQL("select {} from public.x where id = {}").format(form.legacy_columns(), sql.Literal(key))
                ).fetchone()
            except psycopg.DataError:
                self.legacy.execute("rollback")
                self.legacy.execute("begin")
                return None
            theirs = self.target.execute(
                sql.SQL("select {} from public.x t where legacy_id in (1, {})").format(
                    form.target_columns(), sql.Literal(key)
                )
            ).fetchone()
        assert ours is not None
        assert theirs is not None
        return ours[0][0], theirs[0][0]

    def _table(self) -> TargetTable:
        found = self.target.execute(
            "select attname, atttypid::int8, atttypmod, format_type(atttypid, atttypmod) from pg_attribute"
            " where attrelid = 'x'::regclass and attnum > 0"
        ).fetchall()
        types = answer(self.target, ask_types([(oid, modifier) for _, oid, modifier, _ in found]))
        columns = {
            name: TargetColumn(name, oid, shown, kind, not_null=False, writable=True)
            for (name, oid, _, shown), kind in zip(found, types, strict=True)
        }
        return TargetTable("public", "x", columns, False, frozenset())


def _stored(pair: Pair) -> str:
    return f"id uuid, legacy_id int8, c {pair.target}"


def equal(ours: str | None, theirs: str | None, *, signed: bool = True) -> bool:
    """The same text, or the same number: 1.50 is 1.5, and -0 is not 0 where the target has both (`signed`)."""
    if ours is None or theirs is None:
        return ours is theirs
    if ours == theirs or (ours[:1] in "{[" and _plain(ours) == _plain(theirs)):
        return True
    try:
        a, b = Decimal(ours), Decimal(theirs)
    except InvalidOperation:
        return False
    return a == b and (not signed or a.is_signed() == b.is_signed()) and not re.search("[a-zA-Z]{3}", ours)


def _plain(array: str) -> str:
    """Numbers of an array without trailing zeros."""
    return re.sub(r"(\d+)\.(\d*?)0*(?=[,}])", lambda m: f"{m[1]}.{m[2]}" if m[2] else m[1], array)

"""Letting go of unique values for a moment: constraints that can wait are deferred, other values moved aside.

Both end with the transaction's own statements: what was deferred is asked again, and a value that a trigger of the
target keeps where it was parked is found, so neither is ever committed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg
from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.shape import TargetColumn
from hybrid_sync.postgres import Connection, is_row_state
from hybrid_sync.schema.uniqueness import Uniqueness
from hybrid_sync.write.native import AS_NATIVES, write
from hybrid_sync.write.spaces import Space, spaces
from hybrid_sync.write.wants import Moving, Wants, as_columns

_PARKED = sql.Identifier("pg_temp", "hybrid_sync_parked")
_HELD = sql.Identifier("pg_temp", "hybrid_sync_held")


class Collided(Exception):
    """A deferred constraint does not hold at the end: somebody else has taken a value since we looked."""


class _StillHeld(Exception):
    """The values were moved, and the index does not mind: it looks at another column, or at a condition."""


class Parking:
    """Lives within one savepoint, between the look at who wants what and the end of the write."""

    def __init__(
        self, connection: Connection, moving: Moving, columns: Mapping[str, TargetColumn], wants: Wants,
        *, deferring: bool,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._moving = moving
        self._columns = columns
        self._deferred = [u for u in wants.by if u.deferrable is not None] if deferring else []
        self._parked: list[tuple[int, Space]] = []
        self._set_constraints(sql.SQL("deferred"))
        connection.execute(
            "create temp table if not exists hybrid_sync_parked (id uuid, rule int, value jsonb) on commit drop"
        )
        connection.execute(sql.SQL("truncate {}").format(_PARKED))
        for index, found in wants.by.items():
            holders = sorted({w.holder for w in found if w.holder is not None})
            if holders and index not in self._deferred:
                self._park(index, holders)

    def _set_constraints(self, when: sql.SQL) -> None:
        if self._deferred:
            names = sql.SQL(", ").join(raw(u.deferrable) for u in self._deferred if u.deferrable is not None)
            self._connection.execute(sql.SQL("set constraints {} {}").format(names, when))

    def _park(self, index: Uniqueness, holders: Sequence[int]) -> None:
        """Move the holders' values out of the index, by the first way that the target lets them go; or leave them.

        Where it does not let all of them go, as where rows of others refer to the value of one, each half goes by
        itself: what keeps one row costs no other one its move.
        """
        rule = len(self._parked)
        self._remember(index, holders)
        for space in spaces(index, [self._columns[c] for c in index.columns if c in self._moving.changing]):
            assignments = [sql.SQL("{} = {}").format(sql.Identifier(c), value) for c, value in space.items()]
            aside = sql.SQL(
                "with p as (update {table} t set {assignments} from (select id, n as hybrid_sync_n from ({lines}) l) s,"
                " {natives} where s.id = t.id and s.hybrid_sync_n = any({holders}) returning t.id, {values} as value)"
                " insert into {parked} select id, {rule}, value from p"
            ).format(
                table=self._moving.relation, assignments=sql.SQL(", ").join(assignments), lines=self._moving.lines,
                natives=AS_NATIVES, holders=sql.Literal(list(holders)), values=_image("t", space), parked=_PARKED,
                rule=sql.Literal(rule),
            )  # fmt: skip
            try:
                with self._connection.transaction():
                    write(self._connection, aside)
                    self._require_free(index)
            except _StillHeld:
                continue
            except psycopg.Error as error:
                if not is_row_state(error.sqlstate):
                    raise
            else:
                self._parked.append((rule, space))
                break
        self._connection.execute(sql.SQL("drop table if exists {}").format(_HELD))
        if len(self._parked) == rule and len(holders) > 1:
            half = len(holders) // 2
            self._park(index, holders[:half])
            self._park(index, holders[half:])

    def _remember(self, index: Uniqueness, holders: Sequence[int]) -> None:
        """Keep the keys that the holders have in the index, where a column of it may not be one of its keys."""
        if index.condition is None and set(index.keys) == set(index.columns):
            return
        self._connection.execute(
            sql.SQL(
                "create temp table hybrid_sync_held on commit drop as"
                " select k.* from {} k join ({}) l using (id) where l.n = any({})"
            ).format(index.keys_of(self._moving.relation), self._moving.lines, sql.Literal(list(holders)))
        )
        self._connection.execute("analyze hybrid_sync_held")

    def _require_free(self, index: Uniqueness) -> None:
        """Raise _StillHeld where a row that was moved aside still excludes what it excluded before."""
        if index.condition is None and set(index.keys) == set(index.columns):
            return
        now = index.keys_of(self._moving.relation)
        for same in index.conflict("a", "b"):
            held = sql.SQL("select exists (select from {} a join {} b on b.id = a.id and {})").format(_HELD, now, same)
            row = self._connection.execute(held).fetchone()
            if row is None or row[0]:
                raise _StillHeld

    def still_parked(self) -> set[int]:
        """Lines that a trigger of the target keeps at the parked value, against what was to be set."""
        found: set[int] = set()
        for rule, space in self._parked:
            rows = self._connection.execute(
                sql.SQL(
                    "select l.n from {parked} p join {table} t on t.id = p.id join ({then}) x on x.id = p.id"
                    " join ({lines}) l on l.id = p.id"
                    " where p.rule = {rule} and {now} = p.value and {wanted} <> p.value"
                ).format(
                    parked=_PARKED, table=self._moving.relation, then=self._moving.then, lines=self._moving.lines,
                    rule=sql.Literal(rule), now=_image("t", space), wanted=_image("x", space),
                )
            ).fetchall()  # fmt: skip
            found |= {int(row[0]) for row in rows}
        return found

    def end(self) -> None:
        """Ask again what was deferred; Collided when it does not hold."""
        try:
            self._set_constraints(sql.SQL("immediate"))
        except psycopg.errors.IntegrityError as error:
            raise Collided from error


def _image(alias: str, space: Space) -> sql.Composed:
    texts = {c: sql.SQL("{}.{}::text").format(sql.Identifier(alias), sql.Identifier(c)) for c in space}
    return sql.SQL("(select to_jsonb(i.*) from (select {}) i)").format(as_columns(texts))

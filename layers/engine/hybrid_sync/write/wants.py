"""Who wants whose unique value: lines of a stage beside all rows of the table, by each of its unique rules."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping

import psycopg
from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.dataclass import dataclass
from hybrid_sync.postgres import Connection, is_row_state
from hybrid_sync.schema.uniqueness import Uniqueness, generated_columns, uniqueness_of

_THEN = sql.Identifier("pg_temp", "hybrid_sync_then")
_MOST_WANTS = 1_000_000
_FEW_TWINS = 100
"""Rows that want the same value as another: with so few it is worth to look who shall have it."""


@dataclass(frozen=True)
class Moving:
    """Lines that are about to be written, as queries over the stage where they lie."""

    relation: sql.Identifier
    changing: tuple[str, ...]
    """The columns that the write may set."""
    then: sql.Composable
    """The rows as they shall be, with every column of the table; what it computes by itself may be as it was."""
    columns: tuple[str, ...]
    """The columns of `then`."""
    lines: sql.Composable
    """`id` and `n` of every line."""
    movers: sql.Composable
    """`id` and `n` of those that give up what they have now."""


@dataclass(frozen=True)
class Want:
    """The line `taker` is to get what `holder` has now; `holder` None is a row that does not move."""

    taker: int
    holder: int | None


class TooManyWants(Exception):
    """Everybody wants what everybody has, as where many periods overlap: the server alone knows who is in the way."""


class Wants:
    """The wants of all that move, as the table is now."""

    def __init__(self, connection: Connection, moving: Moving) -> None:
        self._connection = connection
        self._moving = moving
        self._generated = generated_columns(connection, moving.relation)
        self._twins: list[tuple[Uniqueness, set[int], list[tuple[int, int]]]] = []
        self.outsiders: set[uuid.UUID] = set()
        """Rows that do not move and have what some line is to get."""
        self.by: dict[Uniqueness, list[Want]] = {}
        self.uncomputed: list[Uniqueness] = []
        """Rules that fail on what some row shall be."""
        for index in uniqueness_of(connection, moving.relation, moving.changing):
            try:
                with connection.transaction():
                    self.by[index] = self._find(index)
            except (psycopg.ProgrammingError, TooManyWants):
                # Or an operator, or a function, that our role may not use.
                continue
            except psycopg.Error as error:
                if not is_row_state(error.sqlstate):
                    raise
                self.uncomputed.append(index)

    # --- who stays -------------------------------------------------------------------------------------------------

    def blocked(self) -> dict[int, Uniqueness]:
        """Takers of what a row keeps that does not move, and all that wait for what these have.

        Only where there is none: of rows that want the same value, all but one.
        """
        first = {w.taker: index for index, wants in self.by.items() for w in wants if w.holder is None}
        found = first or {line: index for index, some, pairs in self._twins for line in self._losers(some, pairs)}
        return found | self.waiting_for(found)

    def _losers(self, second: set[int], pairs: list[tuple[int, int]]) -> set[int]:
        """Of each group the one gets the value for whom most others wait: so the fewest stay with those that do not."""
        if not pairs:
            return second
        groups: dict[int, set[int]] = {}
        for one, other in pairs:
            group = groups.get(one, {one}) | groups.get(other, {other})
            groups.update(dict.fromkeys(group, group))
        kept = {max(sorted(group), key=lambda line: len(self.waiting_for([line]))) for group in groups.values()}
        return groups.keys() - kept

    def waiting_for(self, staying: Iterable[int]) -> dict[int, Uniqueness]:
        """Lines that want a value whose holder keeps it, and in turn those that want theirs."""
        takers: dict[int, list[tuple[int, Uniqueness]]] = {}
        for index, wants in self.by.items():
            for want in wants:
                if want.holder is not None:
                    takers.setdefault(want.holder, []).append((want.taker, index))
        found: dict[int, Uniqueness] = {}
        seen = set(staying)
        waiting = list(seen)
        while waiting:
            for taker, index in takers.get(waiting.pop(), ()):
                if taker not in seen:
                    seen.add(taker)
                    found[taker] = index
                    waiting.append(taker)
        return found

    # --- the rule's own question -----------------------------------------------------------------------------------

    def keys_then(self, index: Uniqueness, then: sql.Composable) -> sql.Composed:
        """The keys of the rows as they shall be."""
        names = [c for c in self._moving.columns if c not in self._generated]
        listed = {c: sql.SQL("x.{}").format(sql.Identifier(c)) for c in names}
        computed = {c: sql.SQL("({})").format(raw(e)) for c, e in self._generated.items()}
        return index.keys_of(sql.SQL("(select {} from ({}) x)").format(as_columns(listed | computed), then))

    def _find(self, index: Uniqueness) -> list[Want]:
        """By pairs (taker, holder): the keys of the taker to be exclude those of the holder as it is."""
        moving = self._moving
        now = index.keys_of(moving.relation)
        found: list[Want] = []
        # In a table of their own, whose size the planner knows: a stage that was just filled looks empty to it.
        self._connection.execute(
            sql.SQL(
                "create temp table hybrid_sync_then on commit drop as"
                " select l.n, k.* from {} k join ({}) l using (id)"
            ).format(self.keys_then(index, moving.then), moving.lines)
        )  # fmt: skip
        self._connection.execute("analyze hybrid_sync_then")
        for condition in index.conflict("a", "b"):
            pairs = sql.SQL(
                "select a.n, m.n, b.id from {then} a join {now} b on {condition} and b.id <> a.id"
                " left join ({movers}) m on m.id = b.id limit {most}"
            ).format(then=_THEN, now=now, condition=condition, movers=moving.movers, most=sql.Literal(_MOST_WANTS))
            rows = self._connection.execute(pairs).fetchall()
            if len(rows) == _MOST_WANTS:
                raise TooManyWants
            for taker, holder, row in rows:
                found.append(Want(taker, holder))
                if holder is None:
                    self.outsiders.add(row)
            if index.exclusion:
                continue  # every pair of ranges would have to be looked at; the server knows which exclude each other
            self._find_twins(index, condition)
        self._connection.execute(sql.SQL("drop table {}").format(_THEN))
        return found

    def _find_twins(self, index: Uniqueness, condition: sql.Composable) -> None:
        """Lines that are to get the same value as an earlier one: by `exists`, because thousands may want one value."""
        second = sql.SQL(
            "select b.n from {then} b where exists (select from {then} a where {condition} and a.n < b.n)"
        ).format(then=_THEN, condition=condition)
        found = {int(row[0]) for row in self._connection.execute(second).fetchall()}
        pairs: list[tuple[int, int]] = []
        if 0 < len(found) <= _FEW_TWINS:
            both = sql.SQL("select a.n, b.n from {then} a join {then} b on {condition} and a.n < b.n").format(
                then=_THEN, condition=condition
            )
            pairs = [(int(a), int(b)) for a, b in self._connection.execute(both).fetchall()]
        if found:
            self._twins.append((index, found, pairs))


def as_columns(values: Mapping[str, sql.Composable]) -> sql.Composed:
    """A SELECT's list of these values under the columns' names."""
    return sql.SQL(", ").join(
        sql.SQL("{} as {}").format(value, sql.Identifier(column)) for column, value in values.items()
    )

"""One side's rows, read once: the statement, and what it says.

Rows are grouped by stretch (`stretches`), by where they are and by which references they carry; what is asked of each
stretch is then put together from its few groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from decimal import Decimal

from psycopg import sql

from hybrid_sync.compare import digests
from hybrid_sync.compare.amounts import Amounts, Sums, Tally, alike, apart, both_ways, computed
from hybrid_sync.compare.ledger import Ledger, Texts, grouped_rows
from hybrid_sync.compare.references import Carrying
from hybrid_sync.compare.row_states import RowState
from hybrid_sync.compare.stretches import Groups
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.legacy.changes import Bucket
from hybrid_sync.postgres import Connection, Question, together
from hybrid_sync.session import Query

_OTHERS = (RowState.missing, RowState.gone)
_PLACES = (*(state.value for state in RowState if state not in _OTHERS), "marked", "native", "unkeyed")
"""Where a row of either side is: in legacy it may be excluded or absent, in the target marked as deleted, native, or
without a part of its key."""
AFTER_FENCE = sql.SQL("hybrid_y9f2c")
"""Within the expression of a place: whether legacy has changed the row after the fence.  No column has such a name."""
NEVER = sql.SQL("false")
"""Of the target, whose rows no fence concerns."""
_BY_CODE = {str(code): place for code, place in enumerate(_PLACES)}
_SETTLED = (RowState.current, RowState.stale)
_NONE = sql.SQL("0")
_NOTHING = sql.SQL("")
_HAS_CHANGED = sql.SQL("hybrid_c9f2c")
_ONCE = sql.SQL("offset 0")
_CHANGED = sql.Literal("hybrid_sync.changed")
_UNLESS_CHANGED = sql.SQL(" and coalesce(pg_catalog.current_setting({}, true), '') <> 'yes'").format(_CHANGED)
"""Decided once, before any row is read."""


class HasChanged(Exception):
    """One of the newest rows has changed, so the others were not looked at."""


def at(place: str) -> sql.Literal:
    """A place as the statement writes it."""
    return sql.Literal(_PLACES.index(place))


@dataclass
class Pass:
    """What one side's rows add up to."""

    places: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_PLACES, 0))
    without_key: int = 0
    """Of the absent rows, those without a complete key."""
    shared: bool = False
    """Several rows have one key."""
    keys: dict[tuple[int, str], str] = field(default_factory=dict)
    """By stretch and place: a digest of the keys that both sides must have, those of current and of stale rows."""
    rows: dict[int, str] = field(default_factory=dict)
    """By stretch: sums over the current rows, where whole rows are compared."""
    in_flight: list[Key] = field(default_factory=list)
    carried: dict[int, Carrying] = field(default_factory=dict)
    changed: dict[int, Bucket] = field(default_factory=dict)
    """By bucket, as planning needs them; where there are any, no keys are to be compared."""
    money: list[tuple[Sums, Ledger]] = field(default_factory=list)
    """By money column: as the server adds up, and row by row."""


@dataclass(frozen=True)
class Rows:
    """What is computed of each row of one side."""

    keys: Sequence[sql.Composable]
    keyed: sql.Composable
    place: sql.Composable
    after_fence: sql.Composable
    carries: Sequence[sql.Composable]
    amounts: Sequence[Amounts]
    relations: sql.Composable
    where: sql.Composable
    changed: sql.Composable
    octets: sql.Composable
    refer: Sequence[str]
    """The places of the rows whose references are counted."""
    row: digests.Row | None
    """What of current rows is compared, their keys among it."""
    seeds: digests.Seeds
    plain: bool = False
    """A few comparisons say where a row is, so wherever that is asked for they are made anew."""
    newest: sql.Composable | None = None
    """The condition of the youngest keys: where one of them is `changed`, nothing else is looked at."""

    def passed(self, connection: Connection, before: Query | None = None) -> Pass:
        """Read the rows once; the amounts stream, everything else comes by stretch or by group.

        Raises HasChanged where one of the `newest` rows has.
        """
        return self._added_up(self._lines(connection, before))

    def question(self) -> Question[Pass]:
        """The pass as one question, for few rows."""
        return Question(self._statement(), None, lambda rows: self._added_up(_one_by_one(rows.fetchall())))

    def _added_up(self, lines: Iterable[tuple[Texts, Sequence[str | None]]]) -> Pass:
        found = Pass(money=[({}, Ledger()) for _ in self.amounts])
        for (kind, first, second, third), last in lines:
            assert kind is not None, "the first column says what a line is"
            if kind == "stretch":
                self._enter(found, first or "", second or "", third or "", last[0])
                continue
            columns = [found.money[int(i)] for i in kind[1:].split(",")]
            group = (first or "", second, _BY_CODE[third or ""])
            if kind[0] == "r":
                amounts = [last] if len(columns) == 1 else apart(last)
                for (_, ledger), some in zip(columns, amounts, strict=True):
                    ledger.enter(group, some)
            else:
                [(sums, _)] = columns
                amount, rows, empty, odd = (last[0] or "").split(",")
                sums[group] = Tally(Decimal(amount), int(rows), int(empty), int(odd))
        return found

    def _enter(self, found: Pass, where: str, counts: str, grouped_rows: str, in_flight: str | None) -> None:
        """Add the counts of one place of one stretch, or of rows without a key."""
        rows, distinct, changed, octets = map(int, counts.split(","))
        code, _, stretch = where.partition(":")
        place = _BY_CODE[code]
        found.places[place] += rows
        if not stretch:
            found.without_key += rows if place == RowState.absent else 0
            return
        n = int(stretch)
        found.shared |= rows != distinct
        keys, sums, masks = grouped_rows.split(",")
        if place in _SETTLED:
            found.keys[n, place] = keys
        if sums:
            found.rows[n] = sums
        self._enter_references(found, n, rows if place == RowState.current else 0, masks)
        found.in_flight += [tuple(map(int, key.split(":"))) for key in (in_flight or "").split()]
        if changed:
            before = found.changed.get(n, Bucket(n, 0))
            found.changed[n] = Bucket(n, before.rows + changed, before.octets + octets)

    def _enter_references(self, found: Pass, n: int, current: int, masks: str) -> None:
        """Add, by which references they carry, how many rows of a place there are, and a digest of the keys of
        current ones."""
        groups = [(int(mask), int(rows), digest) for mask, rows, digest in (m.split(":", 2) for m in masks.split())]
        slots = range(len(self.carries))
        carried = [sum(rows for mask, rows, _ in groups if mask >> i & 1) for i in slots]
        before = found.carried.get(n) or Carrying(0, [0 for _ in slots], ["" for _ in slots])
        checksums = before.checksums
        if current:
            checksums = [" ".join(f"{mask}:{keys}" for mask, _, keys in groups if mask >> i & 1) for i in slots]
        total = [a + b for a, b in zip(before.carried, carried, strict=True)]
        found.carried[n] = Carrying(before.rows + current, total, checksums)

    # --- the statement ---------------------------------------------------------------------------------------------

    def _lines(self, connection: Connection, before: Query | None) -> Iterator[tuple[Texts, Sequence[str | None]]]:
        """Kind and three texts, and a fourth of one such line or of several."""
        query = self._statement()
        with together(connection) as trip:
            if before is not None:
                trip.do(before)
            probed = trip.ask(self._probe) if self.newest is not None else None
            found = None if self.amounts else trip.ask(Question(query, None, lambda rows: rows.fetchall()))
        if probed is not None and probed.value:
            raise HasChanged
        yield from grouped_rows(connection, query, 5) if found is None else _one_by_one(found.value)

    @property
    def _probe(self) -> Question[bool]:
        """Whether one of the newest rows has changed; if so, the rest of the same message reads no row."""
        query = sql.SQL("select pg_catalog.set_config({}, 'yes', true) from {} where {} and {} and {} limit 1").format(
            _CHANGED, self.relations, self.where, self.newest, self.changed
        )
        return Question(query, None, lambda found: found.fetchone() is not None)

    def _statement(self) -> sql.Composed:
        """The rows stand in a WITH, which reads their table once for all that is asked of it."""
        parts = [self._lines_of_stretches()]
        ours = sql.SQL("p not in ({})").format(sql.SQL(", ").join(map(at, ("marked", "native", "unkeyed"))))
        for columns in alike(self.amounts):
            parts += both_ways(columns, ours)
        return sql.SQL("with r as ({}), g as ({}), s as ({}) {} ").format(
            self._computed(), self._grouped(), self._stretches(), sql.SQL(" union all ").join(parts)
        )

    @property
    def _groups(self) -> Groups:
        return Groups(self.keys[0], len(self.keys) == 1, len(self.carries))

    def _computed(self) -> sql.Composed:
        """OFFSET 0: each value is computed once.  A reference is computed only of rows whose place is current."""
        groups, mask = self._groups, self._carries()
        changed = _HAS_CHANGED if self._plans else None
        number = groups.number(self.keyed, sql.SQL("hybrid_p9f2c"), _NONE if groups.apart else mask, changed)
        named = [
            sql.SQL("{} as g, {} as m").format(number, mask if groups.apart else _NONE),
            sql.SQL("case when {} then {} end as h").format(
                self.keyed, groups.share if self._groups.single else digests.sent(self.keys)
            ),
            sql.SQL("hybrid_p9f2c as p"),
        ]
        if self._may_fly:
            named.append(
                sql.SQL("case when hybrid_y9f2c and {} then concat_ws(':', {}) end as k").format(
                    self.keyed, sql.SQL(", ").join(self.keys)
                )
            )
        if self._plans:
            named.append(sql.SQL("case when {} and {} then {} end as o").format(_HAS_CHANGED, self.keyed, self.octets))
        if self.row is not None:
            named += self.row.named(sql.SQL("hybrid_p9f2c = {}").format(at(RowState.current)))
        named += computed(self.amounts)
        asked = [sql.SQL("{} as hybrid_y9f2c").format(self.after_fence)]
        if self._plans:
            asked.append(sql.SQL("{} as {}").format(self.changed, _HAS_CHANGED))
        # What is cheap need not be kept from being computed twice: a step less for each row.
        found = sql.SQL("select y.*, {} as hybrid_p9f2c from (select {} {}) y {}").format(
            self.place, sql.SQL(", ").join(asked), _ONCE if self._may_fly or self._plans else _NOTHING,
            _NOTHING if self.plain else _ONCE,
        )  # fmt: skip
        return sql.SQL("select {} from {} cross join lateral ({}) hybrid_at9f2c where {}{} offset 0").format(
            sql.SQL(", ").join(named), self.relations, found, self.where,
            _NOTHING if self.newest is None else _UNLESS_CHANGED,
        )  # fmt: skip

    @property
    def _may_fly(self) -> bool:
        """Whether some of the rows may have changed after the fence."""
        return self.after_fence != NEVER

    @property
    def _plans(self) -> bool:
        """Whether changed rows are counted, too."""
        return self.changed != NEVER

    def _carries(self) -> sql.Composable:
        """A bit for each reference that the row carries."""
        if not self.carries:
            return _NONE
        bits = [
            sql.SQL("case when {} then {} else 0 end").format(carries, sql.Literal(1 << i))
            for i, carries in enumerate(self.carries)
        ]
        return sql.SQL("case when hybrid_p9f2c in ({}) then {} else 0 end").format(
            sql.SQL(", ").join(map(at, self.refer)), sql.SQL(" + ").join(bits)
        )

    def _grouped(self) -> sql.Composed:
        """Of one integer as key the exact set, as bits; of a composite one sums."""
        if self._groups.single:
            named = [sql.SQL("bit_or(h) as h").format()]
        else:
            named = digests.under("h", digests.sums(sql.Identifier("h"), self.seeds))
            named.append(sql.SQL("count(distinct h) as u").format())
        if self.row is not None:
            named += self.row.added_up(self.seeds)
        apart = self._groups.apart
        return sql.SQL("select g, {}, count(*) as c, {}, {}, {} from r group by {} offset 0").format(
            sql.SQL("m" if apart else "0 as m"),
            sql.SQL("count(o) as changed, sum(o) as o" if self._plans else "0 as changed, 0 as o"),
            sql.SQL("string_agg(k, ' ') filter (where k is not null) as k" if self._may_fly else "null::text as k"),
            sql.SQL(", ").join(named), sql.SQL("g, m" if apart else "g"),
        )  # fmt: skip

    def _stretches(self) -> sql.Composed:
        """The groups of each stretch, place and set of references put together."""
        sums = [] if self._groups.single else ["h0", "h1", "u"]
        named = [sql.SQL("sum({0}) as {0}").format(sql.Identifier(name)) for name in sums]
        if self._groups.single:
            named.append(sql.SQL("{} as h").format(self._groups.bits))
        if self.row is not None:
            named += [sql.SQL("sum(d0) as d0, sum(d1) as d1").format()]
        return sql.SQL(
            "select {}, sum(c) as c, sum(changed) as changed, sum(o) as o, string_agg(k, ' ') as k, {} from g"
            " group by 1, 2, 3 offset 0"
        ).format(self._groups.stretches(), sql.SQL(", ").join(named))

    def _lines_of_stretches(self) -> sql.Composed:
        """A line for each place of a stretch; rows that share a key are more than there are bits, or digests."""
        if self._groups.single:
            distinct, keys, group = map(
                sql.SQL, ("length(replace(bit_or(h)::text, '0', ''))", "md5(bit_or(h)::text)", "md5(h::text)")
            )  # fmt: skip
        else:
            distinct, group = sql.SQL("sum(u)"), sql.SQL("h0 || '/' || h1")
            keys = sql.SQL("sum(h0) || '/' || sum(h1)")
        return sql.SQL(
            "select 'stretch', concat_ws(':', p, s), concat_ws(',', sum(c), coalesce({}, 0), sum(changed),"
            " coalesce(sum(o), 0)), concat_ws(',', coalesce({}, ''), coalesce({}, ''), coalesce({}, '')),"
            " string_agg(k, ' ') from s group by s, p"
        ).format(
            distinct, keys, sql.SQL("''") if self.row is None else sql.SQL("sum(d0) || '/' || sum(d1)"),
            sql.SQL("string_agg(concat_ws(':', m, c, {}), ' ' order by m) filter (where m > 0)").format(group),
        )  # fmt: skip


def _one_by_one(lines: Iterable[Texts]) -> Iterator[tuple[Texts, Sequence[str | None]]]:
    return ((line[:-1], line[-1:]) for line in lines)

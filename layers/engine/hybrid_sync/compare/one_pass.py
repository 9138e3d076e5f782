"""One pass over each side: all that verification counts, where both sides turn out to hold the same keys.

Each side's rows are read once, and everything is computed from what was read: where each row is, the keys of a bucket
as the exact set of them, which references they carry, and money both ways.  Where keys differ or are shared, or a row
cannot be computed, nothing is concluded: the caller examines each of these separately.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import psycopg
from psycopg import sql

from hybrid_sync.blame import is_row_state
from hybrid_sync.catalog.models import Money
from hybrid_sync.compare import money
from hybrid_sync.compare.amounts import Amounts, Sums, Tally
from hybrid_sync.compare.canonical import Canonical
from hybrid_sync.compare.checksums import sent_row
from hybrid_sync.compare.ledger import Ledger
from hybrid_sync.compare.places import Place
from hybrid_sync.compare.references import Carrying, given
from hybrid_sync.compare.scope import Scope
from hybrid_sync.contracts import Key
from hybrid_sync.keys import BUCKET, among, bucket_of, make_room, place_of
from hybrid_sync.legacy.changes import Bucket
from hybrid_sync.postgres import Connection, Question, together
from hybrid_sync.session import Query

_PLACES = (*(place.value for place in Place if place not in (Place.missing, Place.gone)), "marked", "native")
"""Where a row of either side is: in legacy it may be excluded or absent, in the target marked as deleted or native."""
_FALSE, _NONE = sql.SQL("false"), sql.SQL("0")
_SAVEPOINT = sql.SQL("savepoint one_pass")
"""The snapshot outlives a row that fails."""
_CURRENT = sql.SQL("p = 'current'")
_LIVE = sql.SQL("'current', 'stale', 'in_flight'")


@dataclass
class Pass:
    """What one side's rows add up to."""

    places: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_PLACES, 0))
    without_key: int = 0
    """Of the absent rows, those without a complete key."""
    shared: bool = False
    """Several rows have one key."""
    keys: dict[int, str] = field(default_factory=dict)
    """By bucket: a digest of the keys that both sides must have, those of current and of stale rows."""
    rows: dict[int, str] = field(default_factory=dict)
    """By bucket: a digest of the current rows, where whole rows are compared."""
    in_flight: list[Key] = field(default_factory=list)
    carried: dict[int, Carrying] = field(default_factory=dict)
    changed: list[Bucket] = field(default_factory=list)
    money: list[tuple[Sums, Ledger]] = field(default_factory=list)
    """By money column: as the server adds up, and row by row."""


def over_legacy(
    scope: Scope, columns: Sequence[Money], legacy: Connection, changed: sql.Composable = _FALSE,
    form: Canonical | None = None,
) -> Pass | None:  # fmt: skip
    """Pass over legacy in the caller's snapshot; None where a row cannot be computed.

    Rows under the condition `changed` are counted as planning needs them; with a `form` whole rows are compared.
    """
    make_room(legacy, max(len(scope.failed_absent), len(scope.failed_present)))
    try:
        return _legacy_rows(scope, columns, changed, form).passed(legacy, _SAVEPOINT)
    except psycopg.Error as error:
        if not is_row_state(error.sqlstate):
            raise
        legacy.execute("rollback to savepoint one_pass")
        return None


def ask_legacy(scope: Scope, columns: Sequence[Money]) -> Question[Pass]:
    """The same of few rows, as one question among others."""
    return _legacy_rows(scope, columns, _FALSE, None).question()


def _legacy_rows(scope: Scope, columns: Sequence[Money], changed: sql.Composable, form: Canonical | None) -> _Rows:
    plan = scope.plan
    place = sql.SQL(
        "case when {} then 'excluded' when not ({}) then 'absent' when {} then 'in_flight' when {} then 'stale'"
        " when {} then 'absent' else 'current' end"
    ).format(
        plan.excluded_sql, plan.keyed, scope.after_fence, scope.is_among(scope.failed_present),
        scope.is_among(scope.failed_absent),
    )  # fmt: skip
    return _Rows(
        scope.legacy_keys, plan.keyed, place, scope.after_fence, given(plan),
        [money.in_legacy(column, scope) for column in columns], plan.relations, scope.in_legacy(), changed, plan.octets,
        sql.SQL("'current'"), None if form is None else sent_row(plan, form),
    )  # fmt: skip


def over_target(scope: Scope, columns: Sequence[Money], target: Connection, form: Canonical | None = None) -> Pass:
    """Pass over the target's rows in the caller's snapshot; legacy's pass has said what is in flight."""
    make_room(target, max(len(scope.in_flight), len(scope.failed_present)))
    return _target_rows(scope, columns, form).passed(target)


def ask_target(scope: Scope, columns: Sequence[Money]) -> Question[Pass]:
    """The same of few rows, as one question among others."""
    return _target_rows(scope, columns, None).question()


def _target_rows(scope: Scope, columns: Sequence[Money], form: Canonical | None) -> _Rows:
    keyed = sql.SQL(" and ").join(sql.SQL("{} is not null").format(column) for column in scope.key_columns)
    place = sql.SQL(
        "case when {} is null then 'native' when not ({}) then 'unkeyed' when {} then 'marked' when {} then 'in_flight'"
        " when {} then 'stale' else 'current' end"
    ).format(
        scope.key_columns[0], keyed, scope.is_marked("t") if scope.has_marked else _FALSE,
        among(scope.stored_keys, scope.in_flight), among(scope.stored_keys, scope.failed_present),
    )  # fmt: skip
    carries = [sql.SQL("{} is not null").format(sql.Identifier(slot.column)) for slot in scope.plan.references]
    return _Rows(
        scope.stored_keys, keyed, place, _FALSE, carries, [money.in_target(column, scope, ()) for column in columns],
        sql.SQL("{} t {}").format(scope.relation, sql.SQL("") if form is None else form.joins),
        scope.of_source() if scope.is_whole else scope.rows_in_target(),
        _FALSE, _NONE, _LIVE, None if form is None else form.target_row(),
    )  # fmt: skip


def agree(scope: Scope, ours: Pass, theirs: Pass) -> bool:
    """Whether both sides hold the same, each key once, and the quarantine holds those that the target lacks.

    Rows with different keys that are as many as the records wait for are the same, since none is in the target.
    """
    waiting = len(set(scope.failed_absent).difference(scope.in_flight))
    absent = ours.places[Place.absent] - ours.without_key
    return not ours.shared and ours.keys == theirs.keys and ours.rows == theirs.rows and absent == waiting


@dataclass(frozen=True)
class _Rows:
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
    refer: sql.Composable
    """The places of the rows whose references are counted."""
    row: sql.Composable | None
    """The checksum of a whole row."""

    def passed(self, connection: Connection, before: Query | None = None) -> Pass:
        """Read the rows once; the amounts stream, everything else comes by bucket or by group."""
        return self._added_up(self._lines(connection, before))

    def question(self) -> Question[Pass]:
        """The same at once, for few rows."""
        return Question(self._statement(), None, lambda rows: self._added_up(rows.fetchall()))

    def _added_up(self, lines: Iterable[tuple[str | None, ...]]) -> Pass:
        found = Pass(money=[({}, Ledger()) for _ in self.amounts])
        for kind, first, second, third, last in lines:
            assert kind is not None, "the first column says what a line is"
            if kind == "bucket":
                self._enter(found, first, second or "", third or "", last)
                continue
            sums, ledger = found.money[int(kind[1:])]
            if kind[0] == "r":
                ledger.enter((first or "", second, third or ""), last)
            else:
                amount, rows, empty, odd = (last or "").split(",")
                sums[first or "", second, third or ""] = Tally(Decimal(amount), int(rows), int(empty), int(odd))
        return found

    def _enter(self, found: Pass, n: str | None, counts: str, digests: str, in_flight: str | None) -> None:
        keyed, distinct, changed, octets, *numbers = map(int, counts.split(","))
        carried = numbers[len(_PLACES) :]
        keys, rows_digest, *referring = digests.split(",")
        for place, rows in zip(_PLACES, numbers, strict=False):
            found.places[place] += rows
        if n is None:
            found.without_key += numbers[_PLACES.index("absent")]
            return
        found.shared |= keyed != distinct
        if keys:
            found.keys[int(n)] = keys
        if rows_digest:
            found.rows[int(n)] = rows_digest
        found.carried[int(n)] = Carrying(numbers[0], carried, referring)
        found.in_flight += [tuple(map(int, key.split(":"))) for key in (in_flight or "").split()]
        if changed:
            found.changed.append(Bucket(int(n), changed, octets))

    # --- the statement ---------------------------------------------------------------------------------------------

    def _lines(self, connection: Connection, before: Query | None) -> Iterator[tuple[str | None, ...]]:
        """Kind and four texts."""
        query = self._statement()
        if not self.amounts:
            with together(connection) as trip:
                if before is not None:
                    trip.do(before)
                found = trip.ask(Question(query, None, lambda rows: rows.fetchall()))
            yield from found.value
            return
        if before is not None:
            connection.execute(before)
        with connection.cursor() as cursor, cursor.copy(sql.SQL("copy ({}) to stdout").format(query)) as copy:
            yield from copy.rows()

    def _statement(self) -> sql.Composed:
        """The rows stand in a WITH, which reads their table once for all that is asked of it."""
        parts = [self._buckets()]
        for i in range(len(self.amounts)):
            parts += self._money(i)
        return sql.SQL("with r as ({}) {} ").format(self._computed(), sql.SQL(" union all ").join(parts))

    def _computed(self) -> sql.Composed:
        """OFFSET 0: each value is computed once, and a reference only of rows whose place is known to be current."""
        listed = sql.SQL(", ").join(self.keys)
        share = sql.SQL("set_bit(repeat('0', {size})::bit({size}), {place}, 1)").format(
            size=sql.Literal(BUCKET), place=place_of(self.keys[0])
        )
        if len(self.keys) > 1:
            share = sql.SQL("md5(record_send(row({})))").format(listed)
        named = [
            sql.SQL("case when {} then {} end as n").format(self.keyed, bucket_of(self.keys[0])),
            sql.SQL("case when {} then concat_ws(':', {}) end as k, {} as keyed").format(
                self.after_fence, listed, self.keyed
            ),
            sql.SQL("case when {} then {} end as h").format(self.keyed, share),
            sql.SQL("hybrid_sync_place.p, ({}) as y, ({}) as changed, ({}) as octets").format(
                self.after_fence, self.changed, self.octets
            ),
        ]
        if self.row is not None:
            named.append(sql.SQL("case when hybrid_sync_place.p = 'current' then {} end as d").format(self.row))
        for i, carries in enumerate(self.carries):
            of_row = sql.SQL("case when hybrid_sync_place.p in ({}) then {} end as {}")
            named.append(of_row.format(self.refer, carries, sql.Identifier(f"r{i}")))
        for i, one in enumerate(self.amounts):
            named.append(
                sql.SQL("({}) as {}, ({})::text as {}, ({}) as {}").format(
                    one.currency_text, sql.Identifier(f"c{i}"), one.status, sql.Identifier(f"s{i}"), one.amount,
                    sql.Identifier(f"a{i}"),
                )
            )  # fmt: skip
        return sql.SQL(
            "select {} from {} cross join lateral (select {} as p offset 0) hybrid_sync_place where {} offset 0"
        ).format(sql.SQL(", ").join(named), self.relations, self.place, self.where)

    def _buckets(self) -> sql.Composed:
        single = len(self.keys) == 1
        distinct = sql.SQL("length(replace(coalesce(bit_or(h)::text, ''), '0', ''))" if single else "count(distinct h)")
        places = sql.SQL(", ").join(sql.SQL("count(*) filter (where p = {})").format(sql.Literal(p)) for p in _PLACES)
        flags = [sql.Identifier(f"r{i}") for i in range(len(self.carries))]
        carried = [sql.SQL(", count(*) filter (where {})").format(flag) for flag in flags]
        referring = [
            sql.SQL(", {}").format(_digest(single, sql.SQL("p = 'current' and {}").format(flag))) for flag in flags
        ]
        return sql.SQL(
            "select 'bucket', n::text, concat_ws(',', count(*) filter (where keyed), {}, count(*) filter (where changed"
            " and keyed), coalesce(sum(octets) filter (where changed and keyed), 0)::bigint, {}{}),"
            " concat_ws(',', {}, {}{}), string_agg(k, ' ') filter (where y and keyed) from r group by n"
        ).format(
            distinct, places, sql.SQL("").join(carried), _digest(single, sql.SQL("p in ('current', 'stale')")),
            sql.SQL("''") if self.row is None else _sums(sql.Identifier("d"), _CURRENT), sql.SQL("").join(referring),
        )  # fmt: skip

    def _money(self, i: int) -> list[sql.Composed]:
        """The server's sum of each group, and every row of it for the ledger; rows that are not ours have no place."""
        a, c, s = (sql.Identifier(f"{letter}{i}") for letter in "acs")
        ours = sql.SQL("p not in ('marked', 'native', 'unkeyed')")
        return [
            sql.SQL(
                "select {kind}, {c}, {s}, p, concat_ws(',', coalesce(sum({a}) filter (where {a} - {a} = 0), 0),"
                " count(*), count(*) - count({a}), count({a}) filter (where {a} - {a} <> 0)) from r where {ours}"
                " group by {c}, {s}, p"
            ).format(kind=sql.Literal(f"s{i}"), a=a, c=c, s=s, ours=ours),
            sql.SQL("select {kind}, {c}, {s}, p, ({a})::text from r where {ours}").format(
                kind=sql.Literal(f"r{i}"), a=a, c=c, s=s, ours=ours
            ),
        ]


def _digest(single: bool, which: sql.Composable) -> sql.Composed:
    """Of the keys of some rows: of one integer as key the exact set, as bits; of a composite one sums of 128 bits."""
    if single:
        return sql.SQL("coalesce(md5((bit_or(h) filter (where {}))::text), '')").format(which)
    return _sums(sql.Identifier("h"), which)


def _sums(digests: sql.Identifier, which: sql.Composable) -> sql.Composed:
    return sql.SQL(
        "coalesce((sum(('x' || left({d}, 16))::bit(64)::bigint) filter (where {which}))::text || ':' ||"
        " (sum(('x' || right({d}, 16))::bit(64)::bigint) filter (where {which}))::text, '')"
    ).format(d=digests, which=which)

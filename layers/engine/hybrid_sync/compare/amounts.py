"""Amounts of money by where their rows are: what both computations add up, each in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation

from psycopg import sql

from hybrid_sync.dataclass import dataclass

# More digits than any numeric of PostgreSQL has; a sum that would need rounding is an error, not a sum.
EXACT = Context(prec=200_000, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation])

Group = tuple[str, str | None, str]
"""(currency, status, place): the place is where conservation says that the row is."""


@dataclass(frozen=True)
class Tally:
    """What one group adds up to; what is no number (NaN, infinity) is counted separately and added to nothing."""

    amount: Decimal = Decimal(0)
    rows: int = 0
    empty: int = 0
    """Of the rows, those without an amount."""
    odd: int = 0
    """Of the rows, those whose amount is no number."""

    def plus(self, other: Tally) -> Tally:
        return Tally(
            EXACT.add(self.amount, other.amount), self.rows + other.rows, self.empty + other.empty,
            self.odd + other.odd,
        )  # fmt: skip

    def minus(self, other: Tally) -> Decimal:
        """The difference of the amounts alone."""
        return EXACT.subtract(self.amount, other.amount)


Sums = dict[Group, Tally]


def add(total: Sums, part: Sums) -> None:
    """Add `part` to `total`, to the last digit."""
    for group, tally in part.items():
        total[group] = total.get(group, Tally()).plus(tally)


@dataclass(frozen=True)
class Amounts:
    """One money column on one side: expressions over its rows, and the place of each row."""

    amount: sql.Composable
    currency: sql.Composable
    status: sql.Composable
    place: sql.Composable
    relations: sql.Composable
    where: sql.Composable

    @property
    def currency_text(self) -> sql.Composed:
        """A row without a currency counts under a name of its own; by its letters, whatever passes for equal."""
        return sql.SQL("coalesce(({})::text, '?') collate pg_catalog.\"C\"").format(self.currency)

    @property
    def status_text(self) -> sql.Composed:
        """By its letters, like the currency: where a collation ignores case, two words would be one group."""
        return sql.SQL('({})::text collate pg_catalog."C"').format(self.status)


def alike(columns: Sequence[Amounts]) -> list[list[int]]:
    """The columns by number, those together whose amounts have currency and status from the same place."""
    found: list[list[int]] = []
    for i, one in enumerate(columns):
        same = [c for c in found if (columns[c[0]].currency, columns[c[0]].status) == (one.currency, one.status)]
        if same:
            same[0].append(i)
        else:
            found.append([i])
    return found


def computed(columns: Sequence[Amounts]) -> list[sql.Composed]:
    """What `both_ways` needs of each row of a pass, to be selected."""
    texts = sql.SQL("({}) as {}, ({}) as {}")
    of_one = [(i, columns[i]) for i, *_ in alike(columns)]
    return [
        *(
            texts.format(one.currency_text, sql.Identifier(f"c{i}"), one.status_text, sql.Identifier(f"s{i}"))
            for i, one in of_one
        ),
        *(sql.SQL("({}) as {}").format(one.amount, sql.Identifier(f"a{i}")) for i, one in enumerate(columns)),
    ]


def both_ways(columns: Sequence[int], ours: sql.Composable) -> list[sql.Composed]:
    """Of a pass whose rows `r` have the amounts a{i} of these columns by currency c{i} and status s{i} of the first of
    them, and place p: the server's sums of each group, and every row of it for the ledger; of the rows that are `ours`.
    """
    first = columns[0]
    c, s = (sql.Identifier(f"{letter}{first}") for letter in "cs")
    amounts = [sql.Identifier(f"a{i}") for i in columns]
    sums = [
        sql.SQL(
            "select {kind}, {c}, {s}, p::text, concat_ws(',', coalesce(sum({a}) filter (where {a} - {a} = 0), 0),"
            " count(*), count(*) - count({a}), count({a}) filter (where {a} - {a} <> 0)) from r where {ours}"
            " group by {c}, {s}, p"
        ).format(kind=sql.Literal(f"s{i}"), a=a, c=c, s=s, ours=ours)
        for i, a in zip(columns, amounts, strict=True)
    ]
    # What is sent for each row is dear, and not what it says: all amounts of a row travel as one text.
    texts = [sql.SQL("({})::text").format(a) for a in amounts]
    if len(texts) > 1:
        given = [sql.SQL("coalesce({}, '')").format(text) for text in texts]
        texts = [sql.SQL("concat_ws(',', {})").format(sql.SQL(", ").join(given))]
    rows = sql.SQL("select {kind}, {c}, {s}, p::text, {text} from r where {ours}").format(
        kind=sql.Literal("r" + ",".join(map(str, columns))), c=c, s=s, text=texts[0], ours=ours
    )
    return [*sums, rows]


def apart(texts: Sequence[str | None]) -> list[list[str | None]]:
    """The amounts of each of several columns, from rows as `both_ways` sends them."""
    rows = [(text or "").split(",") for text in texts]
    return [[amount or None for amount in column] for column in zip(*rows, strict=True)]

"""Amounts of money by where their rows are: what both computations add up, each in its own way."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation

from psycopg import sql

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
        """A row without a currency counts under a name of its own."""
        return sql.SQL("coalesce(({})::text, '?')").format(self.currency)


def both_ways(i: int, ours: sql.Composable) -> list[sql.Composed]:
    """Of a pass whose rows `r` have the amount a{i} by currency c{i}, status s{i} and place p: the server's sum of each
    group, and every row of it for the ledger; of the rows that are `ours`."""
    a, c, s = (sql.Identifier(f"{letter}{i}") for letter in "acs")
    return [
        sql.SQL(
            "select {kind}, {c}, {s}, p::text, concat_ws(',', coalesce(sum({a}) filter (where {a} - {a} = 0), 0),"
            " count(*), count(*) - count({a}), count({a}) filter (where {a} - {a} <> 0)) from r where {ours}"
            " group by {c}, {s}, p"
        ).format(kind=sql.Literal(f"s{i}"), a=a, c=c, s=s, ours=ours),
        sql.SQL("select {kind}, {c}, {s}, p::text, ({a})::text from r where {ours}").format(
            kind=sql.Literal(f"r{i}"), a=a, c=c, s=s, ours=ours
        ),
    ]

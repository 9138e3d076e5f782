"""A large source in parts: ranges of its keys of about as many rows, or bytes, as a statement reads in good time.

Each row lies in exactly one part, whatever is written meanwhile: keys do not move.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import LiteralString

from psycopg import sql

from hybrid_sync.catalog.compile import ReadPlan, table_of
from hybrid_sync.catalog.models import Source
from hybrid_sync.catalog.place import table
from hybrid_sync.keys import between, key_list
from hybrid_sync.postgres import Connection, Question, one_trip
from hybrid_sync.schema.legacy_structure import most_rows

PART_BYTES = 500 * 1024 * 1024
"""Of a table, in one part: a full scan at 11 MB/s, as small servers read, takes 45 s, and a statement may take 120."""


@dataclass(frozen=True)
class Range:
    """Legacy keys by their first part, from `lo` to before `hi`; None is no end."""

    lo: int | None = None
    hi: int | None = None

    def of(self, key: sql.Composable) -> sql.Composable:
        """The condition that a key lies in the range; a key index serves it."""
        return between(key, self.lo, self.hi)

    def __contains__(self, part: int) -> bool:
        return (self.lo is None or self.lo <= part) and (self.hi is None or part < self.hi)


ALL = Range()


def bytes_of(relation: str) -> Question[int]:
    """How much of the disk a table takes, its partitions and what is stored beside its rows included."""
    query = sql.SQL("select coalesce(({})::bigint, 0)").format(_tree("sum(pg_catalog.pg_table_size(c.oid))", relation))
    return Question(query, None, lambda found: int(found.fetchall()[0][0]))


def ranges(plan: ReadPlan, source: Source, rows: int, legacy: Connection, path: tuple[str, ...] | None) -> list[Range]:
    """Ranges of at most about `rows` rows and PART_BYTES of legacy's base table; together every key there can be."""
    key = plan.key_exprs[0]
    large: sql.Composable = sql.SQL("coalesce({} >= {}, true)").format(most_rows(source), rows)
    if len(plan.key_exprs) == 1:  # integers that lie close together are few, which an index tells at once
        span = sql.SQL("(select max({key})::numeric - min({key})::numeric >= {rows} from {table})")
        large = sql.SQL("({} and {})").format(large, span.format(key=key, rows=rows, table=table_of(source)))
    size = _tree("sum(pg_catalog.pg_table_size(c.oid))", source.table.table)
    fit = sql.SQL("greatest(least({}, {}::numeric * c / greatest(b.bytes, 1)), 1)::bigint").format(rows, PART_BYTES)
    query = sql.SQL(
        "select distinct k from (select {part} as k, row_number() over (order by {key}) as n, count(*) over () as c"
        " from {table} where {key} is not null) s, (select {size} as bytes) b"
        " where ({large} or b.bytes > {most}) and n % {fit} = 0 order by k"
    ).format(
        key=key, part=key_list([key]), table=table_of(source), size=size, large=large, most=PART_BYTES, fit=fit
    )  # fmt: skip
    with one_trip(legacy, "legacy", read_only=True, path=path) as trip:
        borders = trip.ask(Question(query, None, lambda found: [int(row[0]) for row in found.fetchall()]))
    return [Range(lo, hi) for lo, hi in pairwise([None, *borders.value, None])]


def _tree(what: LiteralString, relation: str) -> sql.Composed:
    """Something of a table and of all its partitions."""
    return sql.SQL(
        "(with recursive tree (oid) as (select pg_catalog.to_regclass({})::oid union"
        " select i.inhrelid from tree t join pg_catalog.pg_inherits i on i.inhparent = t.oid)"
        " select {} from tree t join pg_catalog.pg_class c on c.oid = t.oid)"
    ).format(sql.Literal(table(relation).as_string(None)), sql.SQL(what))

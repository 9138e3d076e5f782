"""A large source in parts: ranges of its keys of about as many rows, or bytes, as a statement reads in good time.

Each row lies in exactly one part, whatever is written meanwhile: keys do not move.
"""

from __future__ import annotations

from itertools import pairwise
from typing import LiteralString

from psycopg import sql

from hybrid_sync.catalog.compile import ReadPlan, table_of
from hybrid_sync.catalog.models import Source
from hybrid_sync.catalog.place import table
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import between, key_list
from hybrid_sync.postgres import Connection, Question, one_trip

PART_BYTES = 500 * 1024 * 1024
"""Of a table, in one part: a full scan at 11 MB/s, as small servers read, takes 45 s, and a statement may take 120."""

_MOST_ROWS: LiteralString = (
    "case when bool_and(c.relkind in ('r', 'p', 'm'))"
    " then 291 * sum(pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::bigint) end"
)
"""Of a table `c`, or of all its partitions: a page holds 291 rows at most (MaxHeapTuplesPerPage of 8 kB)."""
_SIZE: LiteralString = (
    "sum(pg_catalog.pg_table_size(c.oid)) as bytes,"
    " sum(greatest(c.reltuples, 0)) filter (where c.relkind in ('r', 'm')) as likely, "
    + _MOST_ROWS + " as rows"
)  # fmt: skip
_SPARSE = 2
"""Integers for each row, at most, where parts are cut by numbers alone: no row has to be counted."""


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
    """How many bytes a table takes on disk, with its partitions and what is stored beside its rows."""
    query = sql.SQL("select coalesce(({})::bigint, 0)").format(
        _of_all_partitions("sum(pg_catalog.pg_table_size(c.oid))", relation)
    )
    return Question(query, None, lambda found: int(found.fetchall()[0][0]))


@dataclass(frozen=True)
class _Extent:
    """How large a source's base table is, asked without reading its rows."""

    bytes: int
    likely: int
    """Rows, as the server last estimated them; 0 where nobody knows."""
    lo: int | None
    hi: int | None
    """The first and the last key of one integer, where there may be more than one part."""
    may_exceed: bool
    """There may be more rows than a part takes."""

    def even_borders(self, rows: int) -> list[int] | None:
        """Where parts of so many integers each begin; None where they would be many and mostly empty."""
        if self.lo is None or self.hi is None:
            return None
        span = self.hi - self.lo + 1
        if span > _SPARSE * self.likely:
            return None
        step = max(min(rows, PART_BYTES * span // max(self.bytes, 1)), 1)
        return list(range(self.lo + step, self.hi + 1, step))


def ranges(plan: ReadPlan, source: Source, rows: int, legacy: Connection, path: tuple[str, ...] | None) -> list[Range]:
    """Ranges of at most about `rows` rows and PART_BYTES of legacy's base table; together every key there can be."""
    with one_trip(legacy, "legacy", read_only=True, path=path) as trip:
        asked = trip.ask(_ask_extent(plan, source, rows))
    extent = asked.value
    if not extent.may_exceed and extent.bytes <= PART_BYTES:
        return [ALL]
    borders = extent.even_borders(rows)
    if borders is None:
        with one_trip(legacy, "legacy", read_only=True, path=path) as trip:
            counted = trip.ask(_ask_borders(plan, source, rows, extent.bytes))
        borders = counted.value
    return [Range(lo, hi) for lo, hi in pairwise([None, *borders, None])]


def _ask_extent(plan: ReadPlan, source: Source, rows: int) -> Question[_Extent]:
    """The ends of the keys are asked only of a table that may be large: where no index serves, it is read for them."""
    ends: sql.Composable = sql.SQL("null, null")
    exceeds: sql.Composable = sql.SQL("s.large")
    if len(plan.key_exprs) == 1:  # integers that lie close together are few
        ends = sql.SQL(", ").join(
            sql.SQL("case when s.large or s.bytes > {} then (select {} from {}) end").format(
                PART_BYTES, key_list([sql.SQL("{}({})").format(sql.SQL(end), plan.key_exprs[0])]), table_of(source)
            )
            for end in ("min", "max")
        )
        exceeds = sql.SQL("s.large and coalesce(e.hi::numeric - e.lo >= {}, false)").format(rows)
    query = sql.SQL(
        "select s.bytes, s.likely, e.lo, e.hi, {exceeds} from (select coalesce(bytes, 0)::bigint as bytes,"
        " coalesce(likely, 0)::bigint as likely, coalesce(rows >= {rows}, true) as large from {size} t offset 0) s"
        " cross join lateral (select {ends}) e (lo, hi)"
    ).format(exceeds=exceeds, rows=rows, size=_of_all_partitions(_SIZE, source.table.table), ends=ends)
    return Question(query, None, lambda found: _Extent(*found.fetchall()[0]))


def _ask_borders(plan: ReadPlan, source: Source, rows: int, size: int) -> Question[list[int]]:
    """Every so-many-th key, counted over all rows."""
    fit = sql.SQL("greatest(least({}, {}::numeric * c / {}), 1)::bigint").format(rows, PART_BYTES, max(size, 1))
    key = plan.key_exprs[0]
    query = sql.SQL(
        "select distinct k from (select {part} as k, row_number() over (order by {key}) as n, count(*) over () as c"
        " from {table} where {key} is not null) s where n % {fit} = 0 order by k"
    ).format(key=key, part=key_list([key]), table=table_of(source), fit=fit)  # fmt: skip
    return Question(query, None, lambda found: [int(row[0]) for row in found.fetchall()])


def _of_all_partitions(what: LiteralString, relation: str) -> sql.Composed:
    """A query for something of a table `c` and of all its partitions."""
    return sql.SQL(
        "(with recursive tree (oid) as (select pg_catalog.to_regclass({})::oid union"
        " select i.inhrelid from tree t join pg_catalog.pg_inherits i on i.inhparent = t.oid)"
        " select {} from tree t join pg_catalog.pg_class c on c.oid = t.oid)"
    ).format(sql.Literal(table(relation).as_string(None)), sql.SQL(what))

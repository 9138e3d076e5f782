"""Which statements of ours read a whole table for a few rows, by EXPLAIN alone, and the index that would help.

Nothing is run and nothing is written: the planner says how it would read, from its own statistics.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.models import Entity, Source
from hybrid_sync.catalog.place import table
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import one_of
from hybrid_sync.postgres import Connection, Question, answer, inside, together
from hybrid_sync.schema.plans import EntityPlan
from hybrid_sync.session import dicts
from hybrid_sync.tuning.facts import LARGE, Unindexed, ask_unindexed, unindexed_by_parent
from hybrid_sync.tuning.model import Advice


@dataclass(frozen=True)
class Scan:
    """A table that a statement would read from end to end."""

    alias: str
    rows: int
    cost: float


@dataclass(frozen=True)
class Statement:
    """One of ours; `columns` are those that an index would have to begin with, by alias."""

    entity: str
    why: str
    query: sql.Composed
    columns: Mapping[str, tuple[str, tuple[str, ...]]]
    """Alias -> its relation, and columns of which one with an index is enough."""


# --- legacy ------------------------------------------------------------------------------------------------------


def of_legacy(catalog: Catalog, plans: Mapping[str, EntityPlan], legacy: Connection) -> tuple[list[Advice], int]:
    """What is missing for the statements that read legacy; and how many were explained."""
    found: list[Advice] = []
    explained = 0
    for path in dict.fromkeys(catalog[name].legacy_search_path for name in plans):
        statements = [
            statement
            for name, plan in plans.items() if catalog[name].legacy_search_path == path
            for source, read in plan.sources.items()
            for statement in _statements(catalog[name], catalog[name].sources[source], read)
        ]  # fmt: skip
        with inside(legacy, "legacy", path=path):
            with together(legacy) as trip:
                scans = [trip.ask(_explain(statement.query)) for statement in statements]
            wanted = [
                (statement, scan)
                for statement, asked in zip(statements, scans, strict=True) for scan in asked.value
                if scan.alias in statement.columns
            ]  # fmt: skip
            found += _missing(legacy, wanted)
        explained += len(statements)
    return found, explained


def _statements(entity: Entity, source: Source, plan: ReadPlan) -> Iterator[Statement]:
    """The read of one key, the look for what has changed around it, and for what has changed since a moment."""
    key = one_of(plan.key_exprs, [tuple(1 for _ in plan.key_exprs)])
    base = {source.table.alias: (source.table.table, _columns(source.table.alias, next(iter(source.key.values()))))}
    joined = {join.alias: (join.table, _compared(join.alias, join.on)) for join in source.joins}
    yield Statement(entity.entity, "reading one row", plan.select(key), {**base, **joined})
    for watch in source.watch:
        near = sql.SQL("select from {} where {} and exists (select from {} as {} where {})").format(
            plan.relations, key, table(watch.table), sql.Identifier(watch.alias), raw(watch.on)
        )
        columns = {watch.alias: (watch.table, _compared(watch.alias, watch.on))}
        yield Statement(entity.entity, "looking for changes of its neighbours", near, columns)
    if source.changed_at is not None and entity.detect == "timestamp":
        later = sql.SQL("select from {} where {} >= pg_catalog.now()").format(plan.relations, raw(source.changed_at))
        stamped = {alias: (name, _columns(alias, source.changed_at)) for alias, name in _tables(source).items()}
        yield Statement(entity.entity, "looking for what has changed", later, stamped)


def _tables(source: Source) -> dict[str, str]:
    return {source.table.alias: source.table.table} | {join.alias: join.table for join in source.joins}


def _columns(alias: str, expression: str) -> tuple[str, ...]:
    """The column that an expression is, if it is one of this table."""
    named = re.fullmatch(rf"{re.escape(alias)}\.([a-z_][a-z0-9_]*)", expression.strip())
    return (named[1],) if named else ()


def _compared(alias: str, condition: str) -> tuple[str, ...]:
    """The table's columns that a condition compares for equality."""
    name = rf"\b{re.escape(alias)}\.([a-z_][a-z0-9_]*)"
    return tuple(dict.fromkeys([*re.findall(rf"{name}\s*=", condition), *re.findall(rf"=\s*{name}", condition)]))


def _missing(legacy: Connection, wanted: Sequence[tuple[Statement, Scan]]) -> list[Advice]:
    """Of the tables that would be read whole: the large ones of which no index begins with any of the columns."""
    asked = [
        (n, *reversed((column, table(statement.columns[scan.alias][0]).as_string(None))))
        for n, (statement, scan) in enumerate(wanted)
        for column in statement.columns[scan.alias][1]
    ]
    numbers, tables, columns = (list(part) for part in zip(*asked, strict=True)) if asked else ([], [], [])
    given = {"numbers": numbers, "tables": tables, "columns": columns, "large": LARGE}
    found: dict[str, Advice] = {}
    for row in answer(legacy, dicts(_WITHOUT_INDEX, given)):
        statement, scan = wanted[row["n"]]
        ddl = f"create index concurrently on {row['place']} ({row['name']});"
        one = Advice(
            side="legacy", entity=statement.entity,
            sentence=f"{statement.why.capitalize()} of {statement.entity} reads all of {row['place']}: no index begins"
            f" with {row['name']}.",
            evidence=f"EXPLAIN: sequential scan, about {row['rows']:,} rows read, cost {scan.cost:,.0f}", ddl=ddl,
            rows=row["rows"], cost=scan.cost,
        )  # fmt: skip
        found.setdefault(ddl, one)
    return list(found.values())


# --- target ------------------------------------------------------------------------------------------------------


def of_target(catalog: Catalog, target: Connection) -> tuple[list[Advice], int]:
    """References that no index serves, in mapped tables and in others; and how many lookups were explained."""
    with together(target) as trip:
        asked = ask_unindexed(trip, catalog)
    missing = [(name, one) for name, some in unindexed_by_parent(asked.value).items() for one in some]
    readable = [one for _, one in missing if one.readable]
    with together(target) as trip:
        scans = {(one.child, one.column): trip.ask(_explain(_lookup(one))) for one in readable}
    found: dict[str, Advice] = {}
    for name, one in missing:
        plan = scans.get((one.child, one.column))
        cost = max((scan.cost for scan in plan.value), default=one.cost) if plan else one.cost
        by = "EXPLAIN: sequential scan" if plan else "By size and statistics, since our role may not read it"
        advice = Advice(
            side="target", entity=name,
            sentence=f"Each time a row of {name} is deleted, the target reads all of {one.child}: no index begins with"
            f" {one.column}.",
            evidence=f"{by}, about {one.rows:,} rows read, cost {cost:,.0f}", ddl=one.ddl, rows=one.rows, cost=cost,
        )  # fmt: skip
        found.setdefault(one.ddl, advice)
    return list(found.values()), len(readable)


def _lookup(one: Unindexed) -> sql.Composed:
    """As a foreign key looks for rows that refer to one; names come quoted from the server."""
    return sql.SQL("select from only {} x where x.{} = '00000000-0000-0000-0000-000000000000'").format(
        raw(one.child), raw(one.column)
    )


# --- plans -------------------------------------------------------------------------------------------------------


def _explain(query: sql.Composed) -> Question[list[Scan]]:
    return Question(
        sql.SQL("explain (format json) {}").format(query), None, lambda found: list(_scans(found.fetchall()[0][0]))
    )


def _scans(plan: Any) -> Iterator[Scan]:
    """Of all nodes below; conditions are left where they are, since they may quote a value."""
    for node in plan if isinstance(plan, list) else [plan]:
        if node.get("Node Type") == "Seq Scan":
            yield Scan(str(node.get("Alias", "")), int(node["Plan Rows"]), float(node["Total Cost"]))
        for below in (node.get("Plan"), node.get("Plans")):
            if below:
                yield from _scans(below)


_WITHOUT_INDEX = sql.SQL("""
with asked as (
  select u.n, to_regclass(u.place)::oid as relation, u.name
  from unnest(%(numbers)s::int[], %(tables)s::text[], %(columns)s::text[]) as u(n, place, name)
), known as (
  select a.n, a.name, a.relation, exists (
    select from pg_index i join pg_attribute c on c.attrelid = i.indrelid and c.attnum = i.indkey[0]
    where i.indrelid = a.relation and i.indisvalid and i.indpred is null and c.attname = a.name) as served
  from asked a
)
select distinct on (k.n) k.n, format('%%I.%%I', s.nspname, c.relname) as place, quote_ident(k.name) as name,
       greatest(c.reltuples, 0)::bigint as rows
from known k join pg_class c on c.oid = k.relation and c.relkind in ('r', 'm')
join pg_namespace s on s.oid = c.relnamespace
where pg_relation_size(c.oid) >= %(large)s
  and not exists (select from known o where o.n = k.n and o.served)
order by k.n, k.name
""")

"""What of the target's structure explains a slow run: triggers, references that no index serves; and rows by entity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import table
from hybrid_sync.dataclass import dataclass
from hybrid_sync.session import Answer, Trip, dicts

LARGE = 1_000_000
"""Bytes of a table from which on reading all of it counts: some 120 pages."""


@dataclass(frozen=True)
class Trigger:
    """One that fires at writes; `millis` a call where the target counts that (track_functions), else None."""

    name: str
    millis: float | None


@dataclass(frozen=True)
class Unindexed:
    """A reference to an entity's table, of a table so large that it counts, and no index finds who refers to a row."""

    child: str
    column: str
    rows: int
    """As PostgreSQL estimates."""
    cost: float
    """Of finding the rows that refer to one, as the planner counts it: all of the table is read."""
    readable: bool = False
    """Our role may ask the planner itself."""

    @property
    def ddl(self) -> str:
        return f"create index concurrently on {self.child} ({self.column});"


@dataclass(frozen=True)
class Rows:
    """What a run did to an entity."""

    read: int = 0
    written: int = 0
    compared: int = 0
    deleted: int = 0


@dataclass(frozen=True)
class Facts:
    """By entity."""

    rows: Mapping[str, Rows] = field(default_factory=dict)
    triggers: Mapping[str, tuple[Trigger, ...]] = field(default_factory=dict)
    unindexed: Mapping[str, tuple[Unindexed, ...]] = field(default_factory=dict)
    starts: tuple[int, int, float] = (0, 0, 0.0)
    """Of the last runs of a few rows: how many, how many of them waited for a worker to start, and seconds of that."""


class AskedFacts:
    """Asked together with other questions; `facts` once they are answered."""

    def __init__(self, trip: Trip, run_id: str, catalog: Catalog) -> None:
        given = {"run": run_id}
        self._rows = trip.ask(dicts(_ROWS, given))
        self._starts = trip.ask(dicts(_STARTS, None))
        self._triggers = trip.ask(dicts(_TRIGGERS, places(catalog)))
        self._unindexed = ask_unindexed(trip, catalog)

    def facts(self) -> Facts:
        triggers: dict[str, list[Trigger]] = defaultdict(list)
        for row in self._triggers.value:
            triggers[row["entity"]].append(Trigger(row["name"], row["millis"]))
        [starts] = self._starts.value
        return Facts(
            {row.pop("entity"): Rows(**row) for row in self._rows.value},
            {name: tuple(found) for name, found in triggers.items()},
            unindexed_by_parent(self._unindexed.value),
            (starts["runs"], starts["cold"], starts["seconds"] or 0.0),
        )


def places(catalog: Catalog) -> dict[str, list[str]]:
    """The mapped tables as PostgreSQL writes them, by entity."""
    names = sorted(catalog.entities)
    return {"entities": names, "tables": [table(catalog[name].target).as_string(None) for name in names]}


def ask_unindexed(trip: Trip, catalog: Catalog) -> Answer[list[dict[str, Any]]]:
    """Every reference to a mapped table, by foreign key or by the catalog, that no index serves."""
    references = sorted(
        {
            (parent.to, table(child.target).as_string(None), column)
            for child in catalog.entities.values()
            for source in child.sources.values()
            for column, reference in source.references.items()
            for parent in reference.parents
        }
    )
    parents, children, columns = (list(part) for part in zip(*references, strict=True)) if references else ([], [], [])
    given = {"parents": parents, "children": children, "columns": columns, "large": LARGE}
    return trip.ask(dicts(_UNINDEXED, {**places(catalog), **given}))


def unindexed_by_parent(rows: list[dict[str, Any]]) -> dict[str, tuple[Unindexed, ...]]:
    found: dict[str, list[Unindexed]] = defaultdict(list)
    for row in rows:
        found[row.pop("entity")].append(Unindexed(**row))
    return {name: tuple(some) for name, some in found.items()}


_ROWS = """
select e.entity, coalesce(sum((d.result->>'read')::bigint + (d.result->>'retried')::bigint), 0)::bigint as read,
       coalesce(sum((d.result->>'inserted')::bigint + (d.result->>'updated')::bigint), 0)::bigint as written,
       coalesce(sum((d.result->>'updated')::bigint + (d.result->>'unchanged')::bigint), 0)::bigint as compared,
       coalesce((e.deletes->>'deleted')::bigint, 0) + coalesce((e.deletes->>'soft')::bigint, 0) as deleted
from hybrid_sync.run_entity e
left join hybrid_sync.batch_done d on d.run_id = e.run_id and d.entity = e.entity
where e.run_id = %(run)s group by e.entity, e.deletes
"""
_STARTS = """
select count(*) as runs, count(*) filter (where micros is not null) as cold, sum(micros)::float8 / 1000000 as seconds
from (select (u.times->'start'->>1)::bigint as micros
      from hybrid_sync.run r join hybrid_sync.run_usage u on u.run_id = r.run_id and u.function like '%-sync-keys'
      where r.profile = 'on_demand' order by r.started_at desc limit 20) last
"""
_TRIGGERS = sql.SQL("""
select m.entity, t.tgname::text as name, case when f.calls > 0 then f.total_time / f.calls end as millis
from unnest(%(entities)s::text[], %(tables)s::text[]) as m(entity, place)
join pg_trigger t on t.tgrelid = to_regclass(m.place) and not t.tgisinternal and t.tgenabled in ('O', 'A')
  and t.tgtype & 20 <> 0
left join pg_stat_user_functions f on f.funcid = t.tgfoid
order by m.entity, t.tgname
""")
# An index serves where the column is its first one; a partial one, too, where it leaves out what refers to nothing.
_UNINDEXED = sql.SQL("""
with mapped as (
  select entity, to_regclass(place)::oid as oid
  from unnest(%(entities)s::text[], %(tables)s::text[]) as m(entity, place)
), referring as (
  select m.entity, k.conrelid as child, k.conkey[1] as attnum
  from mapped m join pg_constraint k on k.confrelid = m.oid and k.contype = 'f'
  union
  select r.entity, to_regclass(r.place)::oid, a.attnum
  from unnest(%(parents)s::text[], %(children)s::text[], %(columns)s::text[]) as r(entity, place, column_name)
  join pg_attribute a on a.attrelid = to_regclass(r.place) and a.attname = r.column_name and not a.attisdropped
)
select r.entity, format('%%I.%%I', n.nspname, c.relname) as child, quote_ident(a.attname) as column,
       greatest(c.reltuples, 0)::bigint as rows,
       round((pg_relation_size(c.oid) / current_setting('block_size')::numeric
              * current_setting('seq_page_cost')::numeric
              + greatest(c.reltuples, 0)::numeric
              * (current_setting('cpu_tuple_cost')::numeric + current_setting('cpu_operator_cost')::numeric)
             ), 2)::float8 as cost,
       has_table_privilege(c.oid, 'select') as readable
from referring r
join pg_class c on c.oid = r.child and c.relkind = 'r'
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = r.child and a.attnum = r.attnum
where pg_relation_size(c.oid) >= %(large)s and not exists (
  select from pg_index i
  where i.indrelid = r.child and i.indisvalid and i.indkey[0] = r.attnum
    and coalesce(pg_get_expr(i.indpred, i.indrelid) = format('(%%I IS NOT NULL)', a.attname), true))
order by r.entity, child, a.attnum
""")

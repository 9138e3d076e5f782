"""What our roles may do, against what a run does; what is missing comes as SQL to paste."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from psycopg import sql

from hybrid_sync.blame import Side
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import split
from hybrid_sync.check.context import ProbeContext, pasted
from hybrid_sync.check.model import Finding, error
from hybrid_sync.check.probe import probe
from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.schema import sequences
from hybrid_sync.schema.ready import require_installed

Table = tuple[str, str]

# By name and not by `to_regclass`, which needs the right that is asked about.  A part of a name that is not there is
# none of this probe's business.
_TABLES = """
select t.schema, t.name, has_schema_privilege(n.oid, 'usage'),
       array(select r from unnest(%s::text[]) r where not has_table_privilege(c.oid, r)),
       has_any_column_privilege(c.oid, 'select')
from unnest(%s::text[], %s::text[]) as t(schema, name)
join pg_namespace n on n.nspname = t.schema join pg_class c on c.relnamespace = n.oid and c.relname = t.name
order by 1, 2
"""
# The weeks of the journal are reached by way of their parent.
_OURS = """
select relname::text from pg_class where relnamespace = 'hybrid_sync'::regnamespace
and relkind in ('r', 'p') and not relispartition
"""
_REST_OF_OURS = """
select exists (select from pg_class c where c.relnamespace = n.oid
               and case when c.relkind = 'S' then not has_sequence_privilege(c.oid, 'usage') end),
       exists (select from pg_proc p where p.pronamespace = n.oid and not has_function_privilege(p.oid, 'execute'))
from pg_namespace n where n.nspname = 'hybrid_sync'
"""
ADDED_TO = {("hybrid_sync", name) for name in ("audit", "erasure", "suppressed", "id_secret")}
"""Lines there are written once."""
OF_THE_OWNER = {("hybrid_sync", name) for name in ("bulk_part", "bulk_table")}
"""What stands there is carried out with the owner's rights, so the worker only reads it."""
_WRITES = ("select", "insert", "update", "delete")


@probe("legacy")
def legacy_grants(context: ProbeContext) -> Iterator[Finding]:
    """The grants that the legacy role lacks, as SQL."""
    fenced, stamped = _read(context.catalog, "commit_fence"), _read(context.catalog, "timestamp")
    missing = _missing(context, "legacy", fenced | stamped, ("select",), by_column=stamped - fenced)
    yield from _missing_rights(context, "legacy", missing)


@probe("target")
def target_grants(context: ProbeContext) -> Iterator[Finding]:
    """The grants that the target role lacks on mapped tables and on what fills their rows, as SQL."""
    mapped = {split(entity.target) for entity in context.catalog.entities.values()}
    missing = _missing(context, "target", mapped, _WRITES)
    for schema, name in context.rows("target", *sequences.without_usage(context.catalog)):
        missing.append(("usage", sql.SQL("usage on sequence {}").format(sql.Identifier(schema, name))))
    yield from _missing_rights(context, "target", missing)


@probe("target")
def installed(context: ProbeContext) -> Iterator[Finding]:
    """Whether the engine's own schema is there, of this version, and open to our role."""
    try:
        with context.reading("target") as target:
            require_installed(target)
    except ConfigurationMissing as refused:
        yield error(refused.code, refused.message, refused.remedy)
        return
    tables = {("hybrid_sync", name) for (name,) in context.rows("target", _OURS)}
    missing = _missing(context, "target", tables - ADDED_TO - OF_THE_OWNER, _WRITES)
    missing += _missing(context, "target", tables & OF_THE_OWNER, ("select",))
    missing += _missing(context, "target", tables & ADDED_TO, ("select", "insert"))
    closed, functions = context.row("target", _REST_OF_OURS)
    if closed:
        missing.append(("usage", sql.SQL("usage on all sequences in schema hybrid_sync")))
    if functions:
        missing.append(("execute", sql.SQL("execute on all functions in schema hybrid_sync")))
    yield from _missing_rights(context, "target", missing)


def _read(catalog: Catalog, detect: str) -> set[Table]:
    """Every table that the entities so detected name in legacy."""
    entities = [entity for entity in catalog.entities.values() if entity.detect == detect]
    sources = [source for entity in entities for source in entity.sources.values()]
    return {
        split(name)
        for source in sources
        for name in (source.table.table, *(j.table for j in source.joins), *(w.table for w in source.watch))
    }


def _missing(
    context: ProbeContext, side: Side, tables: set[Table], rights: tuple[str, ...], by_column: Collection[Table] = ()
) -> list[tuple[str, sql.Composable]]:
    """What to grant.  Columns suffice where no transaction id is read, which is a right to the whole table."""
    found: list[tuple[str, sql.Composable]] = []
    closed: set[str] = set()
    for schema, name, open_, lacking, some in context.rows(side, _TABLES, (list(rights), *_names(tables))):
        if not open_ and schema not in closed:
            closed.add(schema)
            found.append(("usage", sql.SQL("usage on schema {}").format(sql.Identifier(schema))))
        if lacking and not (some and (schema, name) in by_column):
            what = sql.SQL(", ").join(sql.SQL(right) for right in lacking)
            found.append((", ".join(lacking), sql.SQL("{} on {}").format(what, sql.Identifier(schema, name))))
    return found


def _missing_rights(
    context: ProbeContext, side: Side, missing: Sequence[tuple[str, sql.Composable]]
) -> Iterator[Finding]:
    if not missing:
        return
    [role] = context.row(side, "select current_user::text")
    rights = sorted({right for right, _ in missing})
    yield error(
        "missing_privilege",
        f"The role {role} of {context.place(side)} lacks {len(missing)} grants ({'; '.join(rights)}).",
        pasted([sql.SQL("grant {} to {}").format(what, sql.Identifier(role)) for _, what in missing]),
    )


def _names(tables: Iterable[Table]) -> tuple[list[str], list[str]]:
    pairs = sorted(tables)
    return [schema for schema, _ in pairs], [name for _, name in pairs]

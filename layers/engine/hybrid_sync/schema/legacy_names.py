"""What the names in a catalog's expressions mean in legacy: the same for everybody, and what their author meant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import psycopg
from psycopg import sql

from hybrid_sync.catalog.models import Entity, Source
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.postgres import Connection, path_setting
from hybrid_sync.rounds import Rounds, alike
from hybrid_sync.schema.legacy_structure import asked, named_by

# Types of others bring operators of their own, which are not found where only pg_catalog is looked at. Enums,
# ranges and rows have those of PostgreSQL; arrays and domains those of what they are made of.
_SCHEMAS_OF_TYPES = """
with recursive types (oid) as (
  select a.atttypid from unnest(%s::text[]) as r(relation)
  join pg_attribute a on a.attrelid = to_regclass(r.relation) and a.attnum > 0 and not a.attisdropped
  union
  select u.oid from types t join pg_type y on y.oid = t.oid
  cross join lateral (select y.typelem union select y.typbasetype) as u(oid) where u.oid <> 0
)
select distinct n.nspname::text
from types t join pg_type y on y.oid = t.oid join pg_namespace n on n.oid = y.typnamespace
where y.typtype = 'b' and y.typcategory <> 'A' and n.nspname <> 'pg_catalog' order by 1
"""
_OPEN = """
select p.name, n.oid is not null,
       exists (select from aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) as a
               left join pg_roles r on r.oid = a.grantee
               where a.privilege_type = 'CREATE' and a.grantee <> n.nspowner and not coalesce(r.rolsuper, false))
from unnest(%s::text[]) as p(name) left join pg_namespace n on n.nspname = p.name
where p.name not in ('pg_catalog', 'pg_temp')
"""


def warnings(connection: Connection, entity: Entity, schemas: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """A sentence for each schema of `legacy_search_path` in which others may create something.

    StructureMismatch for a schema that legacy does not have, and where an operator means something else than it would
    beside its type; `schemas` are those of the types, by source.
    """
    if entity.legacy_search_path is None:
        for source, others in schemas.items():
            if others:
                _require_meaning(connection, entity, source, others)
        return ()
    rows = connection.execute(_OPEN, (list(entity.legacy_search_path),)).fetchall()
    for schema, there, _ in rows:
        if not there:
            raise StructureMismatch(
                f"Legacy has no schema {schema}, which `legacy_search_path` of entity {entity.entity} names.",
                "Correct the name, or grant the role USAGE on it.",
            )
    return tuple(
        f"In legacy's schema {schema} others than its owner may create functions and operators, and so change what the"
        f" expressions of {entity.entity} mean: revoke CREATE on it, or take it out of `legacy_search_path`."
        for schema, _, others in rows
        if others
    )


def schemas_of_types(source: Source) -> Rounds[list[str]]:
    """The schemas of others whose types the source's relations have."""
    given = [("text[]", list(named_by(source)))]
    [schemas] = yield [alike(_SCHEMAS_OF_TYPES, given, lambda rows: [row[0] for row in rows])]
    return list(schemas)


def _require_meaning(connection: Connection, entity: Entity, source_name: str, schemas: Sequence[str]) -> None:
    """Refuse an expression that would mean something else if the operators of its types were found.

    `email = 'A@X'` compares citext without regard to case; where only pg_catalog is looked at, it compares texts.
    """
    ours = _explained(connection, entity, source_name, schemas)
    connection.execute("savepoint meaning")
    connection.execute(path_setting(("pg_catalog", *schemas, "pg_temp")))
    try:
        theirs = _explained(connection, entity, source_name, schemas)
    except (StructureMismatch, psycopg.Error):
        theirs = ""  # not the same, at any rate
    connection.execute("rollback to savepoint meaning")
    if ours != theirs:
        raise StructureMismatch(
            f"Entity {entity.entity}, source {source_name}: an expression uses a type of {', '.join(schemas)}, and"
            " means something else where that type's operators are not found.",
            f"Write them out, as in operator({schemas[0]}.=), or list the schema in `legacy_search_path`.",
        )


def _explained(connection: Connection, entity: Entity, source_name: str, schemas: Sequence[str]) -> str:
    """The plan as PostgreSQL writes it, with every cast and operator, and without the schemas of their names."""
    rows = asked(connection, entity, source_name, sql.SQL("explain (verbose, costs off) {}"))
    text = re.sub(r"OPERATOR\((?:\"[^\"]+\"|\w+)\.([^)]+)\)", r"\1", "\n".join(row[0] for row in rows))
    for schema in schemas:
        text = text.replace(f'"{schema}".', "").replace(f"{schema}.", "")
    return text

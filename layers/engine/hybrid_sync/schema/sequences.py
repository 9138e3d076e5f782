"""Sequences that fill unmapped columns of mapped tables: a role that inserts rows needs the right to use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import split

_WITHOUT_USAGE: LiteralString = """
select distinct n.nspname::text, s.relname::text
from unnest(%(schemas)s::text[], %(names)s::text[]) as t(schema, name)
join pg_namespace tn on tn.nspname = t.schema join pg_class c on c.relnamespace = tn.oid and c.relname = t.name
join pg_attrdef f on f.adrelid = c.oid
join pg_attribute a on a.attrelid = c.oid and a.attnum = f.adnum and a.attidentity = '' and not a.attisdropped
join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = f.oid and d.refclassid = 'pg_class'::regclass
join pg_class s on s.oid = d.refobjid and s.relkind = 'S' join pg_namespace n on n.oid = s.relnamespace
where not (t.schema || '.' || t.name || '.' || a.attname) = any(%(written)s::text[])
  -- A case, because nothing else decides what is asked first, and other relations have no such right.
  and case when s.relkind = 'S'
      then not has_sequence_privilege(coalesce(%(role)s::name, current_user), s.oid, 'usage, update') end
order by 1, 2
"""


def without_usage(catalog: Catalog, role: str | None = None) -> tuple[LiteralString, Mapping[str, Any]]:
    """Asks for schema and name of those that the role (None: whoever asks) may not use."""
    places = sorted({split(entity.target) for entity in catalog.entities.values()})
    schemas, names = [schema for schema, _ in places], [name for _, name in places]
    return _WITHOUT_USAGE, {"schemas": schemas, "names": names, "written": _written(catalog), "role": role}


def _written(catalog: Catalog) -> list[str]:
    """`schema.table.column` of every column that gets its value from us."""
    found: list[str] = []
    for entity in catalog.entities.values():
        source = next(iter(entity.sources.values()))
        place = ".".join(split(entity.target))
        for column in ("id", *source.key, *source.discriminator, *source.references, *source.columns):
            found.append(f"{place}.{column}")
    return found

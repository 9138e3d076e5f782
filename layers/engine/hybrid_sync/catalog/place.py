"""Where a mapped table is: in the schema that the catalog names, else in `public`; never where a search_path leads.

And the places of a catalog, by what they read in legacy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from hybrid_sync.catalog.columns import spliced
from hybrid_sync.catalog.names import relation_parts

if TYPE_CHECKING:
    from hybrid_sync.catalog.catalog import Catalog

Place = tuple[str, str]
"""An entity and one of its sources."""


def split(relation: str) -> tuple[str, str]:
    """`public.orders`, `orders` or `"Order Items"` as (schema, table)."""
    parts = relation_parts(relation)
    return (parts[0], parts[1]) if len(parts) == 2 else ("public", parts[0])


def table(relation: str) -> sql.Identifier:
    """The relation as a composable identifier, always with its schema."""
    return sql.Identifier(*split(relation))


def quoted(relation: str) -> str:
    """The relation as SQL's own text, always with its schema; for `to_regclass`."""
    return table(relation).as_string(None)


def reads(catalog: Catalog, place: Place) -> str:
    """The rows of legacy that the source reads, whatever its alias for them is: the base table, and the key's parts."""
    source = catalog[place[0]].sources[place[1]]
    parts = [spliced(e).as_string(None).replace(f"{source.table.alias}.", "") for e in source.key.values()]
    return f"{quoted(source.table.table)} ({', '.join(parts)})"


def places(catalog: Catalog) -> list[Place]:
    """Every entity of the catalog with each of its sources."""
    return [(name, source) for name, entity in catalog.entities.items() for source in entity.sources]

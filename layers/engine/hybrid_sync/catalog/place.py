"""Where a mapped table is: in the schema that the catalog names, else in `public`; never where a search_path leads."""

from __future__ import annotations

from psycopg import sql

from hybrid_sync.catalog.names import relation_parts


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

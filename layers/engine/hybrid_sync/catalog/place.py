"""Where a mapped table is: in the schema that the catalog names, else in `public`; never where a search_path leads."""

from __future__ import annotations

from psycopg import sql


def split(relation: str) -> tuple[str, str]:
    """`public.orders` or `orders` as (schema, table)."""
    schema, _, name = relation.rpartition(".")
    return schema or "public", name


def table(relation: str) -> sql.Identifier:
    """The relation as a composable identifier, always with its schema."""
    return sql.Identifier(*split(relation))

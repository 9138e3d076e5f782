"""What the target holds in mapped columns, hashed by the server: to compare a moment with an earlier one."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog

Mapped = dict[tuple[str, str], str]
"""(entity, id) -> hash of the row's key and mapped columns; native rows too."""


def mapped(connection: psycopg.Connection[Any], catalog: Catalog) -> Mapped:
    """Every row of every mapped table."""
    found: Mapped = {}
    for name, entity in catalog.entities.items():
        source = next(iter(entity.sources.values()))
        columns = [*source.key, *source.discriminator, *source.references, *source.columns]
        query = sql.SQL("select id::text, md5(row({})::text) from {}").format(
            sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(*entity.target.split("."))
        )
        found |= {(name, row[0]): row[1] for row in connection.execute(query)}
    return found


def differing(one: Mapped, other: Mapped) -> set[tuple[str, str]]:
    """The rows that are not the same, or not in both."""
    return {row for row in one.keys() | other.keys() if one.get(row) != other.get(row)}

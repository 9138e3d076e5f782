"""Names that a server's error mentions, as far as they are names: a trigger can put any text in their place."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from hybrid_sync.catalog.shape import TargetTable
from hybrid_sync.postgres import Connection

_KNOWN = """
select array(select conname::text from pg_constraint where conname::text = any(%(names)s)
             union select relname::text from pg_class where relkind in ('i', 'I') and relname::text = any(%(names)s))
"""


def known_constraints(connection: Connection, names: Iterable[str | None]) -> frozenset[str]:
    """Those that the server's own catalogs know as a constraint or an index."""
    asked = sorted({name for name in names if name})
    if not asked:
        return frozenset()
    row = connection.execute(_KNOWN, {"names": asked}).fetchone()
    assert row is not None, "a constructed array is one row"
    return frozenset(row[0])


def constraint_of(connection: Connection, error: Exception) -> str | None:
    """The constraint that the error names, if there is one of that name."""
    name = error.diag.constraint_name if isinstance(error, psycopg.Error) else None
    return name if name in known_constraints(connection, [name]) else None


def column_of(table: TargetTable, name: str | None) -> str | None:
    """The column that the error names, if the table has it."""
    return name if name in table.columns else None

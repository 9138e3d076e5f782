"""What the catalog's author wrote, as SQL."""

from __future__ import annotations

from psycopg import sql


def raw(text: str) -> sql.SQL:
    """SQL that the catalog's author wrote; the catalog is code, reviewed and deployed like code."""
    return sql.SQL(text)


def spliced(text: str) -> sql.Composed:
    """The author's expression in parentheses, so that the SQL around it cannot change its meaning."""
    return sql.SQL("({})").format(raw(text))

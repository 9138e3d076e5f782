"""A percent sign in a name or a text of a statement stays one, although the statement's parameters begin with it.

psycopg puts a name and a literal into a statement as they are, and reads every `%` of it when there are parameters.
"""

from __future__ import annotations

from typing import Any

from psycopg import sql


def doubled(query: Any) -> Any:
    """The statement as it has to be written where it gets parameters; what is no composed SQL stays as it is."""
    if isinstance(query, sql.Composed):
        return sql.Composed([doubled(part) for part in query])
    return _Doubled(query) if isinstance(query, sql.Identifier | sql.Literal) else query


class _Doubled(sql.Composable):
    """A name or a literal with its percent signs written twice."""

    def as_bytes(self, context: Any = None) -> bytes:
        return bytes(self._obj.as_bytes(context).replace(b"%", b"%%"))

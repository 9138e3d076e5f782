"""Names that a server's error mentions, as far as they are names: a trigger can put any text in their place."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

from hybrid_sync.halve import Refusal
from hybrid_sync.postgres import Connection

T = TypeVar("T")

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


def named(
    connection: Connection, refusals: Sequence[Refusal[T]], columns: Collection[str] = ()
) -> list[Refusal[T]]:  # fmt: skip
    """The refusals without names that nothing has: constraints that the server does not know, and other columns."""
    known = known_constraints(connection, (r.constraint for r in refusals))
    return [
        r._replace(
            constraint=r.constraint if r.constraint in known else None, column=r.column if r.column in columns else None
        )
        for r in refusals
    ]

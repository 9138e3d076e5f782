"""Before-images: a row's columns as texts in one jsonb object, exact for every type there and back.

Texts and not JSON values: only a type's own text distinguishes a jsonb `null` from NULL, the minus of -0, an array's
bounds, and the spelling of a `json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.shape import TargetColumn


def image_of(alias: str, columns: Iterable[str]) -> sql.Composed:
    """The named columns of the row `alias` as an image; NULL stays null."""
    named = list(columns)
    # Out of two arrays, and not of a record: whose columns would be looked up for each row.
    return sql.SQL("pg_catalog.jsonb_object({}::text[], {})").format(named, _values_of(alias, named))


def short_image_of(alias: str, columns: Iterable[str]) -> sql.Composed:
    """The columns' values alone, as the text of a text[]: for many rows, of which the names are said once."""
    return sql.SQL("{}::text").format(_values_of(alias, columns))


def _values_of(alias: str, columns: Iterable[str]) -> sql.Composed:
    texts = (sql.SQL("{}.{}::text").format(sql.Identifier(alias), sql.Identifier(c)) for c in columns)
    return sql.SQL("array[{}]::text[]").format(sql.SQL(", ").join(texts))


def restored(image: sql.Composable, column: TargetColumn) -> sql.Composed:
    """The column's value out of the image that the expression `image` yields."""
    return sql.SQL("({} ->> {})::{}").format(image, sql.Literal(column.name), raw(column.type_sql))


def restorable(
    columns: Mapping[str, TargetColumn], names: Iterable[str], *, whole: bool = False
) -> list[TargetColumn]:  # fmt: skip
    """Those of the named columns that the table still has and lets us write; a dropped one has nothing to restore.

    Of a `whole` row that is inserted again, numbers that the table gave it as well.
    """
    there = [columns[name] for name in names if name in columns]
    return [column for column in there if column.writable or (whole and column.numbered)]

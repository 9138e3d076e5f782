"""Adoption: native rows of the target that are the same thing as a legacy row which is new."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import field

from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.forms import Lower
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.shape import TargetTable
from hybrid_sync.dataclass import dataclass
from hybrid_sync.postgres import Connection
from hybrid_sync.rows.columns import Row, SplicedRows
from hybrid_sync.schema.target_structure import base_types
from hybrid_sync.write.write import copy_isolated

_NATURAL = sql.Identifier("pg_temp", "hybrid_sync_natural")
_LENGTH = struct.Struct(">i")


@dataclass
class Candidates:
    """Which native row each new legacy row may adopt, and the rows for which that is not certain."""

    ids: dict[bytes, bytes] = field(default_factory=dict)
    """Key bytes -> UUID; locked until the transaction ends."""
    ambiguous: set[bytes] = field(default_factory=set)


def candidates(
    connection: Connection, entity: Entity, source: str, plan: ReadPlan, table: TargetTable, rows: Iterable[Row]
) -> Candidates:
    """Native rows whose natural key equals that of one of `rows`, where each fits just one of the other.

    What fits more than one row, here or there, is ambiguous.  A row with a NULL in its natural key adopts nothing.
    """
    assert entity.adopt is not None, "asked only of an entity that adopts"
    by = entity.adopt.by
    keys = _stage(connection, plan, table, by, rows)
    if not keys:
        return Candidates()
    columns = entity.sources[source].columns
    fits = [
        sql.SQL("lower(t.{c}) = s.{c}" if isinstance(columns[c], Lower) else "t.{c} = s.{c}").format(
            c=sql.Identifier(c)
        )
        for c in by
    ]
    native = [sql.SQL("t.{} is null").format(sql.Identifier(c)) for c in plan.key_columns]
    query = sql.SQL(
        "select s.hybrid_sync_n, t.id from {natural} s join {table} t on {fits} where {native} and ({condition})"
        " order by t.id for no key update of t"
    ).format(
        natural=_NATURAL, table=sql.Identifier(table.schema, table.name), fits=sql.SQL(" and ").join(fits),
        native=sql.SQL(" and ").join(native), condition=raw(entity.adopt.when or "true"),
    )  # fmt: skip
    pairs = [(keys[n], row_id.bytes) for n, row_id in connection.execute(query).fetchall()]
    per_row, per_native = Counter(key for key, _ in pairs), Counter(row_id for _, row_id in pairs)
    ambiguous = {key for key, row_id in pairs if per_row[key] > 1 or per_native[row_id] > 1}
    return Candidates({key: row_id for key, row_id in pairs if key not in ambiguous}, ambiguous)


def _stage(
    connection: Connection, plan: ReadPlan, table: TargetTable, by: Sequence[str], rows: Iterable[Row]
) -> list[bytes]:
    """The natural keys in a table of their own, numbered; the key bytes by number."""
    columns = (*plan.checked, *plan.plain)
    places = [columns.index(column) for column in by]
    types = base_types(connection, table, (c for c in by if not table.columns[c].labels))
    listed = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(c), raw(types.get(c, table.columns[c].type_sql))) for c in by
    )
    keys: list[bytes] = []
    staged: list[bytes] = []
    for row in rows:
        fields = _fields(row.tail, places)
        if fields is not None:
            head = struct.pack(">hii", len(by) + 1, 4, len(keys))
            staged.append(head + b"".join(fields))
            keys.append(row.key)
    if not keys:
        return []
    connection.execute(sql.SQL("drop table if exists {}").format(_NATURAL))
    connection.execute(
        sql.SQL("create temp table hybrid_sync_natural (hybrid_sync_n int, {}) on commit drop").format(listed)
    )
    # A value that its type does not take cannot fit a native row either; the write then says what is wrong with it.
    copy_isolated(
        connection, sql.SQL("copy {} from stdin (format binary)").format(_NATURAL), SplicedRows(keys, columns=[staged])
    )
    connection.execute(sql.SQL("analyze {}").format(_NATURAL))
    return keys


def _fields(tail: bytes, places: Sequence[int]) -> list[bytes] | None:
    """The complete binary fields at these places of a row's tail; None when one of them is NULL."""
    last, found, at = max(places), dict[int, bytes](), 0
    for place in range(last + 1):
        length = _LENGTH.unpack_from(tail, at)[0]
        end = at + 4 + max(length, 0)
        if place in places:
            if length < 0:
                return None
            found[place] = tail[at:end]
        at = end
    return [found[place] for place in places]

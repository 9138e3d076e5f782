"""The journal of rows that were just inserted: their keys, and the transactions that wrote them, as the table has them.

A trigger may have kept a row out, or given it another id or key; the number of rows that come back says so.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

from psycopg import sql

from hybrid_sync.contracts import Key
from hybrid_sync.keys import between, key_arrays, key_columns, key_list, one_of
from hybrid_sync.many_keys import all_parts, stretch_of
from hybrid_sync.postgres import Connection, answer
from hybrid_sync.rows.columns import SplicedRows
from hybrid_sync.write.journal import Batch, Entries, journal_copied, journal_inserts, journal_stretch
from hybrid_sync.write.statements import Statements, fires


def journal_inserted(
    connection: Connection, batch: Batch, statements: Statements, rows: SplicedRows, *, copied: bool
) -> Entries:
    """Journal those that stand under their own id and key; `copied` are all of them, by one COPY, and none where a
    trigger fires, which the plan did not know of."""
    plan = statements.plan
    keys = rows.decoded(plan.key_widths)
    if copied:
        return _as_copied(connection, batch, statements, rows, keys)
    if (stretch := stretch_of(keys)) and not plan.discriminator:
        found = _between(connection, batch, statements, rows, keys, stretch)
        if found.rows:
            return found
    names = ("id", *plan.key_columns)
    ids = sql.Literal([uuid.UUID(bytes=identity) for identity in rows.ids])
    query = sql.SQL(
        "select {key}, t.xmin, s.n from unnest({ids}::uuid[], {keys}) with ordinality as s ({names}, n)"
        " join {table} t on {same}"
    ).format(
        key=statements.key("s"), ids=ids, keys=sql.SQL(", ").join(key_arrays(keys, len(plan.key_columns))),
        names=sql.SQL(", ").join(map(sql.Identifier, names)), table=statements.relation,
        same=sql.SQL(" and ").join(sql.SQL("t.{0} = s.{0}").format(sql.Identifier(n)) for n in names),
    )  # fmt: skip
    return answer(connection, journal_inserts(batch, query, len(plan.key_columns)))


def _as_copied(
    connection: Connection, batch: Batch, statements: Statements, rows: SplicedRows, keys: Sequence[Key]
) -> Entries:
    """Journal what a COPY wrote as it was sent, since no trigger fires: the first row's xmin is that of all of them;
    journal nothing where a trigger does fire, of which the plan did not know."""
    plan = statements.plan
    query = sql.SQL("select {keys}, t.xmin from {table} t where t.id = {id}::uuid and {key} and not {fires}").format(
        keys=all_parts(keys), table=statements.relation, id=sql.Literal(uuid.UUID(bytes=rows.ids[0])),
        key=one_of(key_columns(plan.key_columns, "t"), keys[:1]), fires=fires(statements.relation, "insert"),
    )  # fmt: skip
    return answer(connection, journal_copied(batch, query, len(plan.key_columns)))


def _between(
    connection: Connection, batch: Batch, statements: Statements, rows: SplicedRows, keys: Sequence[Key],
    stretch: tuple[int, int],
) -> Entries:  # fmt: skip
    """Journal the rows where the table has no others between their first and last key, which one walk along the index
    and a digest of their ids show; journal nothing where it has."""
    in_order = sorted(zip(keys, rows.ids, strict=True))
    digest = hashlib.md5(b"".join([identity for _, identity in in_order]), usedforsecurity=False).hexdigest()
    columns = key_columns(statements.plan.key_columns, "t")
    query = sql.SQL("select t.id, {}, t.xmin::text from {} t where {}").format(
        key_list(columns), statements.relation, between(columns[0], stretch[0], stretch[1] + 1)
    )
    return answer(connection, journal_stretch(batch, query, digest))

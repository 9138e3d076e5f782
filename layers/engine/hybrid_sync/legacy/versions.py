"""Which version of a legacy row was read: by its transaction ids, never by contents, so nothing of the row leaves."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.models import Source
from hybrid_sync.contracts import Key
from hybrid_sync.keys import key_list, one_of
from hybrid_sync.postgres import Connection, transaction
from hybrid_sync.schema.legacy_structure import has_transaction_ids


def versions(legacy: Connection, plan: ReadPlan, source: Source, keys: Sequence[Key]) -> dict[Key, str]:
    """A text per key that is another one whenever the row, or one joined to it, was written again.

    By timestamp where legacy has no transaction ids.  Keys that are gone are left out.
    """
    named = [key for key in keys if key]
    if not named:
        return {}
    with transaction(legacy, "legacy", read_only=True, path=plan.path):
        if has_transaction_ids(legacy, source):
            stamps = [sql.SQL("{}.xmin::text").format(sql.Identifier(alias)) for alias in source.aliases]
        else:
            stamps = [sql.SQL("({})::text").format(raw(source.changed_at or "null"))]
        stamp = sql.SQL("concat_ws(',', {})").format(sql.SQL(", ").join(stamps))
        columns = key_list(plan.key_exprs)
        query = sql.SQL(
            "select {}, md5(string_agg({stamp}, ';' order by {stamp})) from {} where {} group by {}"
        ).format(
            columns, plan.relations, one_of(plan.key_exprs, named),
            sql.SQL(", ").join(sql.Literal(n + 1) for n in range(len(plan.key_exprs))), stamp=stamp,
        )  # fmt: skip
        return {tuple(row[:-1]): str(row[-1]) for row in legacy.execute(query).fetchall()}

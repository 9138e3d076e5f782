"""The rows that legacy cannot compute: text that is no JSON, an expression that fails; found one by one.

A bad row is normally a failed record and left out by its key.  One that turned bad unseen would abort the checksum of
its whole range, so it is looked for, and only then: first among the checked columns, as the sync checks them,
then by halving.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psycopg import sql

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.forms import Stored
from hybrid_sync.contracts import Key
from hybrid_sync.halve import halve
from hybrid_sync.keys import key_of_texts, key_parts, one_of
from hybrid_sync.legacy.unreadable import ask
from hybrid_sync.postgres import Connection


def unreadable_keys(legacy: Connection, plan: ReadPlan, computed: sql.Composable, where: sql.Composable) -> list[Key]:
    """Keys under `where` for which `computed` cannot be computed, in the caller's snapshot."""
    found: list[Key] = []
    good: list[Key] = []
    for key, readable in _checked(legacy, plan, where):
        (good if readable else found).append(key)
    return found + uncomputable_keys(legacy, plan, computed, good)


def _checked(legacy: Connection, plan: ReadPlan, where: sql.Composable) -> Iterator[tuple[Key, bool]]:
    at = len(plan.key_columns) + 1 + sum(len(slot.parents) for slot in plan.references)
    texts = plan.fields[at : at + len(plan.checked)]
    keys = key_parts(plan.key_exprs)
    query = sql.SQL("copy (select {} from {} where {}) to stdout").format(
        sql.SQL(", ").join([*keys, *texts]), plan.relations, where
    )
    parts = len(keys)
    with legacy.cursor() as cursor, cursor.copy(query) as copy:
        for row in copy.rows():
            key = key_of_texts(row[:parts])
            sent = zip(row[parts:], plan.checked.values(), strict=True)
            yield key, all(text is None or _is_storable(stored, str(text).encode()) for text, stored in sent)


def _is_storable(stored: Stored, text: bytes) -> bool:
    try:
        stored(text)
    except ValueError:
        return False
    return True


def uncomputable_keys(
    legacy: Connection, plan: ReadPlan, computed: sql.Composable, keys: Sequence[Key]
) -> list[Key]:  # fmt: skip
    """Those of `keys` for whose rows `computed` cannot be computed."""

    def compute(some: Sequence[Key]) -> None:
        with legacy.transaction():  # a savepoint: the snapshot outlives a row that fails
            legacy.execute(
                sql.SQL("select count({}) from {} where {}").format(
                    computed, plan.relations, one_of(plan.key_exprs, some)
                )
            )

    return [r.item for r in halve(keys, compute, lambda error, _: ask(legacy, plan, error))]

"""A week's life of the legacy system, and the exact list of what it changed."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

from psycopg import sql

from hybrid_sync.postgres import Connection
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.sample import marker
from hybrid_sync_cli.sample.world import writing

Key = tuple[int, ...]
Keys = dict[str, dict[str, list[Key]]]
"""Entity -> source -> legacy keys in order."""

_SCALED = (
    "auth_user", "dispatch_patient", "dispatch_instruction", "dispatch_jaw", "dispatch_project",
    "dispatch_plan", "dispatch_task", "dispatch_comment", "dispatch_record", "dispatch_state",
    "dispatch_file", "dispatch_payment", "dispatch_notification",
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One legacy row, and what happened to it."""

    table: str
    operation: str
    """`inserted`, `updated` or `deleted`."""
    key: Key
    event: str
    """Why, in the words of the business."""


@dataclass(frozen=True)
class MutationReport:
    """What a week changed; a row appears once."""

    seed: int
    share: float
    changes: list[Change]
    must_read: Keys
    """What an incremental run has to read: rows whose own, joined or watched legacy rows changed."""
    gone: Keys
    """Rows that were mapped and are hard-deleted now; an incremental run cannot see them."""

    def keys(self, table: str, operation: str) -> list[Key]:
        """The keys of one table that were `inserted`, `updated` or `deleted`."""
        return sorted(c.key for c in self.changes if (c.table, c.operation) == (table, operation))

    def as_dict(self) -> dict[str, object]:
        """For JSON; a key of one integer is that integer, a composite one a list."""
        tables: dict[str, dict[str, list[object]]] = defaultdict(lambda: defaultdict(list))
        events: dict[str, int] = defaultdict(int)
        for change in self.changes:
            tables[change.table][change.operation].append(_plain(change.key))
            events[change.event] += 1
        return {
            "seed": self.seed,
            "share": self.share,
            "tables": tables,
            "events": events,
            "must_read": _plain_keys(self.must_read),
            "gone": _plain_keys(self.gone),
        }


def mutate(legacy_dsn: str, seed: int = 1, share: float = 0.01) -> MutationReport:
    """Live a week in a legacy database that the sample made, in one transaction.

    `share` is the part of each large table that changes in each way (at least two rows).  The same seed on
    the same database changes the same rows; call it again for another week.  Raises CliError for any other
    database.
    """
    if not 0 < share <= 0.2:
        raise CliError("A week can change between nothing and a fifth of a table: give a --share between 0 and 0.2.")
    with writing(legacy_dsn, "legacy") as legacy:
        marker.require_sample(legacy, "legacy")
        legacy.execute("set local search_path = public, hybrid_sync_sample")
        values = {"seed": seed, **_amounts(legacy, share)}
        for part in ("inserts", "updates", "deletes"):
            legacy.execute(marker.script(f"week/{part}.sql"), values)
        legacy.execute(marker.script("week/derived.sql"))
        changes = [
            Change(table, operation, _key(first, second), event)
            for table, operation, first, second, event in legacy.execute(
                "select tab, op, key, key2, event from changes order by tab, op, key, key2"
            ).fetchall()
        ]
        report = MutationReport(seed, share, changes, _keys(legacy, "must_read"), _keys(legacy, "gone"))
        legacy.execute("drop view must_read, gone, touched")
    return report


def _amounts(legacy: Connection, share: float) -> dict[str, int]:
    """How many rows each statement touches, and how many rows there are."""
    amounts: dict[str, int] = {}
    for table in _SCALED:
        row = legacy.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table))).fetchone()
        amounts[f"rows_{table}"] = int(row[0]) if row else 0
        amounts[f"few_{table}"] = max(2, math.ceil(amounts[f"rows_{table}"] * share))
    amounts["few_doctors"] = max(1, amounts["few_auth_user"] // 10)
    amounts["few_purchase"] = max(2, amounts["few_dispatch_payment"] // 5)
    return amounts


def _keys(legacy: Connection, view: str) -> Keys:
    query = sql.SQL("select entity, source, key, key2 from {} order by 1, 2, 3, 4").format(sql.Identifier(view))
    found: Keys = {}
    for entity, source, first, second in legacy.execute(query).fetchall():
        found.setdefault(entity, {}).setdefault(source, []).append(_key(first, second))
    return found


def _key(first: int, second: int | None) -> Key:
    return (first,) if second is None else (first, second)


def _plain(key: Key) -> int | list[int]:
    return key[0] if len(key) == 1 else list(key)


def _plain_keys(keys: Keys) -> dict[str, dict[str, list[int | list[int]]]]:
    return {e: {s: [_plain(k) for k in ks] for s, ks in sources.items()} for e, sources in keys.items()}

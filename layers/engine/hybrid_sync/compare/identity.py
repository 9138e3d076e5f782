"""What the keys of legacy are found not to be, complete and unique, becomes failed records: nothing else sees it.

A row without a complete key lies in no range of keys, and a row whose twin has not changed is read by no fence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.postgres import Connection, Question
from hybrid_sync.rows.failed import FailedRow
from hybrid_sync.write.batches import record_failed, resolve_failed

NO_KEY: Key = ()
"""The key of the one record that counts a source's rows without a complete key."""


@dataclass(frozen=True)
class KeyDefects:
    """Of one source: how many rows share each doubled key, which of those the target holds, and rows without a key."""

    doubled: Mapping[Key, int]
    present: Collection[Key]
    null_keys: int | None
    """None where not all rows were looked at."""

    def plus(self, other: KeyDefects) -> KeyDefects:
        """With what was found of other keys of the source."""
        rows = (self.null_keys, other.null_keys)
        without = None if None in rows else sum(n for n in rows if n is not None)
        return KeyDefects({**self.doubled, **other.doubled}, {*self.present, *other.present}, without)


Known = Mapping[Key, tuple[str, int, bool]]
"""Reason, rows and presence of the failed records about keys."""


def ask_known(entity: str, source: str) -> Question[Known]:
    """What the quarantine says of the source's keys."""
    return Question(
        "select key, reason, rows, present from hybrid_sync.failed_record where entity = %s and source = %s"
        " and status <> 'resolved' and reason in ('duplicate_key', 'null_key')",
        (entity, source),
        lambda found: {tuple(key): (reason, rows, present) for key, reason, rows, present in found.fetchall()},
    )


def record(connection: Connection, run_id: str, entity: str, source: str, found: KeyDefects, known: Known) -> None:
    """Put into quarantine what is not there yet; rows without a key are resolved when there are none any more."""
    wanted = [
        FailedRow(key, "duplicate_key", present=key in found.present, rows=rows)
        for key, rows in sorted(found.doubled.items())
    ]
    if found.null_keys:
        wanted.append(FailedRow(NO_KEY, "null_key", rows=found.null_keys))
    changed = [row for row in wanted if known.get(row.key) != (row.reason, row.rows, row.present)]
    record_failed(connection, run_id, entity, source, changed)
    if found.null_keys == 0 and NO_KEY in known:
        resolve_failed(connection, run_id, entity, source, [NO_KEY])

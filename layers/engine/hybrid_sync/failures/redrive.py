"""A person has failed records tried again: their attempts are counted anew, and messages name them."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from hybrid_sync.contracts import FailureMessage, Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import record_among
from hybrid_sync.postgres import Connection

KEYS_PER_MESSAGE = 500
"""As many as one may carry: a retry costs its waits for the databases, however many rows it reads."""
PART = 2_000
"""Records of one transaction: some hundred milliseconds, and as long their locks."""


@dataclass(frozen=True)
class Which:
    """Failed records that fit all that is given; resolved ones never do, nor those that a person lives with."""

    entity: str | None = None
    source: str | None = None
    reason: str | None = None
    keys: Sequence[Key] = ()

    @property
    def where(self) -> sql.Composed:
        given = {"entity": self.entity, "source": self.source, "reason": self.reason}
        parts = [sql.SQL("f.{} = {}").format(sql.Identifier(n), value) for n, value in given.items() if value]
        if self.keys:
            parts.append(record_among(self.keys, sql.SQL("f.key")))
        return sql.SQL(" and ").join([sql.SQL("f.status in ('open', 'escalated')"), *parts])


_TAKEN = sql.SQL("""
update hybrid_sync.failed_record f
set status = 'open', attempts = 0, queued_at = clock_timestamp(), redriven_by = {redrive}
where (f.entity, f.source, f.key) in (
  select f.entity, f.source, f.key from hybrid_sync.failed_record f
  where {which} and {can} and f.redriven_by is distinct from {redrive}
  order by f.entity, f.source, f.key limit {part} for update)
returning f.entity, f.source, f.reason, f.key
""")
# What is held is not written, and a message about rows without a key would name nothing.
_CAN = sql.SQL(
    "f.key <> '{{}}' and not exists"
    " (select from hybrid_sync.entity_state s where s.entity = f.entity and s.held)"
).format()  # fmt: skip
_LEFT = sql.SQL("select count(*) from hybrid_sync.failed_record f where {which} and not ({can})")


def take_again(connection: Connection, redrive: str, which: Which) -> list[FailureMessage]:
    """The messages about a part of the records, each once for a redrive; none when all are taken.

    Send them before the commit: a crash in between sends some twice, which is harmless, and forgets none.
    """
    taken = _TAKEN.format(redrive=redrive, which=which.where, can=_CAN, part=PART)
    by_cause: dict[tuple[str, str, str], list[Key]] = {}
    for entity, source, reason, key in sorted(connection.execute(taken).fetchall()):
        by_cause.setdefault((entity, source, reason), []).append(tuple(key))
    return [
        FailureMessage(
            run_id=redrive, entity=entity, source=source, reason=reason,
            keys=tuple(keys[start : start + KEYS_PER_MESSAGE]),
        )
        for (entity, source, reason), keys in by_cause.items()
        for start in range(0, len(keys), KEYS_PER_MESSAGE)
    ]  # fmt: skip


def left(connection: Connection, which: Which) -> int:
    """Those that no message may name: of held entities, and without a key."""
    row = connection.execute(_LEFT.format(which=which.where, can=_CAN)).fetchone()
    return int(row[0]) if row else 0

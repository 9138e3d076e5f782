"""The fence of each entity: up to where legacy has been carried, and under which definition; in the target."""

from __future__ import annotations

from typing import Any

from hybrid_sync.blame import unseen
from hybrid_sync.errors import LegacyUnavailable, no_such_part
from hybrid_sync.legacy.fence import Fence
from hybrid_sync.postgres import Connection, Cursor, Question

StoredFence = tuple[Fence | None, str | None, int]
"""The entity's fence, the definition it was taken under, and its version."""


def ask_fence(entity: str) -> Question[StoredFence]:
    """The entity's fence as it is stored."""
    return Question(
        "select fence, definition_hash, version from hybrid_sync.fence where entity = %s",
        (entity,),
        lambda found: _stored(found.fetchone()),
    )


def ask_carried() -> Question[set[str]]:
    """Entities all of whose rows a run has brought once."""
    return Question(
        "select entity from hybrid_sync.fence where fence is not null", None, lambda found: {row[0] for row in found}
    )


def _stored(row: tuple[Any, ...] | None) -> StoredFence:
    if row is None:
        return None, None, 0
    return Fence.model_validate(row[0]) if row[0] else None, row[1], row[2]


# By every run, for one that has moved no fence has written rows, too.
_AHEAD = """
select exists (
  select from hybrid_sync.run
  where fence->>'system_identifier' = %(system)s and (fence->>'timeline')::int = %(timeline)s
    and (fence->>'database')::bigint = %(database)s
    and case fence->>'lsn' when 'withheld' then false else (fence->>'lsn')::pg_lsn > %(lsn)s::pg_lsn end)
"""


def require_reached(target: Connection, saved: Fence) -> None:
    """Refuse a replica that has not replayed yet what an earlier run has seen.

    Its rows would be written over newer ones, and what it does not know yet be taken for deleted.
    """
    if saved.doubt != "replica":
        return
    given = {
        "system": saved.system_identifier, "timeline": saved.timeline, "database": saved.database, "lsn": saved.lsn,
    }  # fmt: skip
    [(ahead,)] = target.execute(_AHEAD, given).fetchall()
    if ahead:
        raise LegacyUnavailable(
            "Legacy is a read replica that has replayed less than an earlier run has seen.",
            "It is tried again; let the replica catch up, or point the legacy DSN at the primary.",
        )


# A run writes nothing after its deadline, but for the page that it is at; none is longer than a day.
_ADVANCE = """
with state as (select held from hybrid_sync.entity_state where entity = %(entity)s for share), moved as (
  update hybrid_sync.fence set fence = %(fence)s, definition_hash = %(hash)s, version = version + 1, run_id = %(run)s,
    advanced_at = clock_timestamp()
  where entity = %(entity)s and version = %(version)s
    and not coalesce((select held from state), false)
    and not exists (
      select from hybrid_sync.run mine
      join hybrid_sync.run other on other.catalog_hash <> mine.catalog_hash
        and other.started_at > mine.started_at - interval '2 days'
        and least(coalesce(other.finished_at, 'infinity'), other.deadline_at + interval '15 minutes') > mine.started_at
      join hybrid_sync.run_entity theirs on theirs.run_id = other.run_id and theirs.entity = %(entity)s
      where mine.run_id = %(run)s)
    and exists (select from hybrid_sync.run_entity where run_id = %(run)s and entity = %(entity)s)
  returning entity)
update hybrid_sync.run_entity e set fence_advanced = exists (select from moved)
where e.run_id = %(run)s and e.entity = %(entity)s returning e.fence_advanced
"""


def advance_fence(run_id: str, entity: str, fence: Fence, definition_hash: str, version: int) -> Question[bool]:
    """Compare-and-set: only from the version that the run planned against, and only where nobody holds the entity.

    Nor where a run of another catalog has worked beside this one: it may have written rows by its own definition.
    Recorded in the entity's part of the run, too.  RunNotFound where that is gone, or hidden from us since.
    """
    given = {
        "entity": entity, "fence": fence.model_dump_json(), "hash": definition_hash, "run": run_id, "version": version,
    }  # fmt: skip

    def advanced(found: Cursor) -> bool:
        row = found.fetchone()
        if row is None:
            raise unseen(found.connection, no_such_part(run_id, entity))
        return bool(row[0])

    return Question(_ADVANCE, given, advanced)

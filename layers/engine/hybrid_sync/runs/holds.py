"""Holds: a held entity is not written until a person releases it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import RequestRejected
from hybrid_sync.postgres import Connection


@dataclass(frozen=True)
class Hold:
    """Who holds the entity, and why."""

    entity: str
    by: str | None
    why: str | None


def hold(connection: Connection, entities: Iterable[str], by: str, why: str) -> None:
    """Stop every writer of these entities; waits for the batches that are being written."""
    # In name order, like everybody who takes more than one of these rows.
    for entity in sorted(set(entities)):
        connection.execute(
            "insert into hybrid_sync.entity_state as s (entity, held, held_by, held_why, held_at)"
            " values (%s, true, %s, %s, clock_timestamp()) on conflict (entity) do update set held = true,"
            " held_by = excluded.held_by, held_why = excluded.held_why, held_at = excluded.held_at",
            (entity, by, why),
        )


def holds(connection: Connection) -> list[Hold]:
    """The entities that are held, by name."""
    rows = connection.execute(
        "select entity, held_by, held_why from hybrid_sync.entity_state where held order by entity"
    ).fetchall()
    return [Hold(*row) for row in rows]


def release(connection: Connection, entities: Sequence[str]) -> list[str]:
    """Let these entities be written again; those that were held.

    RequestRejected while a rollback is at work on one of them: what it has not undone yet would be taken for read.
    """
    require_no_rollback(
        connection, entities, "Finish it with the same `hybrid-sync rollback` command, then release the entity."
    )
    rows = connection.execute(
        "update hybrid_sync.entity_state set held = false, held_by = null, held_why = null, held_at = null"
        " where held and entity = any(%s) returning entity",
        (list(entities),),
    ).fetchall()
    return sorted(row[0] for row in rows)


def require_no_rollback(connection: Connection, entities: Sequence[str], remedy: str) -> None:
    """RequestRejected while a rollback is at work on one of these entities."""
    busy = connection.execute(
        "select e.entity, r.run_id from hybrid_sync.run r join hybrid_sync.run_entity e on e.run_id = r.run_id"
        " where r.undoes is not null and r.status = 'running' and e.entity = any(%s) order by e.entity limit 1",
        (list(entities),),
    ).fetchone()
    if busy is not None:
        raise RequestRejected(f"Entity {busy[0]} is being rolled back by {busy[1]}.", remedy)

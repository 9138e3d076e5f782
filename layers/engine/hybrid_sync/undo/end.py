"""What a rollback has done, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hybrid_sync.contracts import UndoneBatch
from hybrid_sync.postgres import Connection

if TYPE_CHECKING:
    from hybrid_sync.undo.begin import Rollback


def finish(connection: Connection, rollback: Rollback) -> None:
    """End the rollback and say so on the run; undoing a rollback makes the run that it undid valid again."""
    connection.execute("select from hybrid_sync.run where run_id = %s for update", (rollback.run_id,))
    for entity in rollback.entities:
        done = undone(connection, rollback.rollback_id, entity)
        connection.execute(
            "update hybrid_sync.run_entity set status = case when status = 'failed' then status else %s end, undo = %s,"
            " finished_at = clock_timestamp()"
            " where run_id = %s and entity = %s",
            ("incomplete" if done.conflicts else "undone", done.model_dump_json(), rollback.rollback_id, entity),
        )
    connection.execute(
        "update hybrid_sync.run set finished_at = clock_timestamp(), status = case when exists (select from"
        " hybrid_sync.run_entity where run_id = %(run)s and status = 'failed') then 'failed' else 'succeeded' end"
        " where run_id = %(run)s and status = 'running'",
        {"run": rollback.rollback_id},
    )
    connection.execute(
        "update hybrid_sync.run set undone_by = %s where run_id = %s", (rollback.rollback_id, rollback.run_id)
    )
    connection.execute(
        "update hybrid_sync.run set undone_by = null"
        " where run_id = (select undoes from hybrid_sync.run where run_id = %s)",
        (rollback.run_id,),
    )


def undone(connection: Connection, rollback_id: str, entity: str | None = None) -> UndoneBatch:
    """What the rollback has done so far, in one entity or in all; a row in conflict counts once."""
    chosen = {"run": rollback_id, "entity": entity}
    row = connection.execute(
        "select coalesce(sum((result->>'inserted')::bigint), 0), coalesce(sum((result->>'updated')::bigint), 0),"
        " coalesce(sum((result->>'deleted')::bigint), 0), coalesce(sum((result->>'unchanged')::bigint), 0)"
        " from hybrid_sync.batch_done where run_id = %(run)s and entity = coalesce(%(entity)s::text, entity)",
        chosen,
    ).fetchone()
    conflicts = connection.execute(
        "select reason, count(*) from hybrid_sync.rollback_conflict"
        " where run_id = %(run)s and entity = coalesce(%(entity)s::text, entity) group by reason order by reason",
        chosen,
    ).fetchall()
    inserted, updated, deleted, unchanged = map(int, row or (0, 0, 0, 0))
    return UndoneBatch(
        inserted=inserted,
        updated=updated,
        deleted=deleted,
        unchanged=unchanged,
        conflicts={str(reason): int(count) for reason, count in conflicts},
    )

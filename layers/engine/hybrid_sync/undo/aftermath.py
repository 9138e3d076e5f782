"""What an undo leaves behind: its own journal entries, ids to give back, keys to read again, and its conflicts."""

from __future__ import annotations

import uuid

from psycopg import sql

from hybrid_sync.contracts import UndoneBatch
from hybrid_sync.undo.verdict import UNDO, Stage
from hybrid_sync.write.journal import CHANGE, CHANGES, Batch, entries
from hybrid_sync.write.tombstones import follow_undo

# One row costs one conflict, named by its latest entry; hashes distinguish versions without showing a value, and the
# id goes into them so that equal rows have different ones.
_CONFLICTS = sql.SQL("""
with later as materialized (
  select distinct on (j.id, j.xid::text, j.prior::text) j.id, j.before,
         (j.xid::text)::bigint as version, j.prior::text::bigint as prior
  from (select distinct version from {undo} where verdict not in ('done', 'already', 'absent')) v
  join {changes} j on (j.xid::text)::bigint = v.version
  where j.id in (select id from {undo})
)
insert into hybrid_sync.rollback_conflict (run_id, entity, source, key, operation, reason, by_run, constraint_name,
                                           sqlstate, before_hash, written_hash, current_hash)
select {rollback}, {entity}, {source}, u.key, {operation}, u.verdict, u.by_run, u.constraint_name, u.sqlstate,
       encode(sha256(convert_to(u.id::text || u.before::text, 'UTF8')), 'hex'),
       encode(sha256(convert_to(u.id::text || l.before::text, 'UTF8')), 'hex'),
       encode(sha256(convert_to(u.id::text || u.image::text, 'UTF8')), 'hex')
from {undo} u left join later l on l.id = u.id and l.version = u.version and l.prior = u.xid
where u.verdict not in ('done', 'already', 'absent')
on conflict (run_id, entity, source, key) do nothing
""")

# Only runs read these keys again, not the queue: the entity is held. An ignored or still failing key keeps its
# reason, but whether an older version of it is in the target has changed.
_READ_AGAIN = sql.SQL("""
insert into hybrid_sync.failed_record as f (entity, source, key, reason, present, first_run, last_run, queued_at)
select {entity}, {source}, u.key, 'rolled_back', not {keyless}, {rollback}, {rollback}, clock_timestamp()
from {undo} u where u.verdict = 'done'
  and exists (select from hybrid_sync.fence where entity = {entity} and fence is not null)
on conflict (entity, source, key) do update set
  present = excluded.present,
  status = case when f.status = 'resolved' then 'open' else f.status end,
  reason = case when f.status = 'resolved' then excluded.reason else f.reason end,
  column_name = case when f.status <> 'resolved' then f.column_name end,
  sqlstate = case when f.status <> 'resolved' then f.sqlstate end,
  constraint_name = case when f.status <> 'resolved' then f.constraint_name end,
  waits_for = case when f.status <> 'resolved' then f.waits_for end,
  ended_at = case when f.status <> 'resolved' then f.ended_at end,
  ended_by = case when f.status <> 'resolved' then f.ended_by end,
  attempts = case when f.status = 'resolved' then 0 else f.attempts end,
  queued_at = case when f.status = 'resolved' then excluded.queued_at else f.queued_at end,
  last_run = excluded.last_run, last_seen = clock_timestamp()
""")


def record(stage: Stage, rollback: str, batch: uuid.UUID) -> UndoneBatch:
    """Journal what was done to the staged lines and bring the records around them in step; what was done, counted."""
    operation = stage.segment.operation
    deletes = operation == "insert"
    _journal(stage, rollback, batch)
    counts = _counts(stage)
    done = counts.pop("done", 0)
    if done:
        _forget_ids(stage, rollback)
        keys = sql.SQL("select key from {} where verdict = 'done'").format(UNDO)
        follow_undo(stage.connection, stage.run_id, rollback, stage.entity.entity, stage.source, keys)
    common = {
        "undo": UNDO, "changes": CHANGES, "rollback": sql.Literal(rollback), "entity": sql.Literal(stage.entity.entity),
        "source": sql.Literal(stage.source),
    }  # fmt: skip
    stage.connection.execute(_READ_AGAIN.format(keyless=_keyless(stage), **common))
    unchanged = counts.pop("already", 0) + counts.pop("absent", 0)
    if counts:
        stage.connection.execute(_CONFLICTS.format(operation=sql.Literal(operation), **common))
    return UndoneBatch(
        inserted=done if operation == "delete" else 0, updated=done if operation in ("update", "link") else 0,
        deleted=done if deletes else 0, unchanged=unchanged, conflicts=counts,
    )  # fmt: skip


def _counts(stage: Stage) -> dict[str, int]:
    rows = stage.connection.execute(sql.SQL("select verdict, count(*) from {} group by 1").format(UNDO)).fetchall()
    return {str(verdict): int(count) for verdict, count in rows}


def _journal(stage: Stage, rollback: str, batch: uuid.UUID) -> None:
    """The undo's own entries, so that it can be undone as well; each names the version that it brought back."""
    named = Batch(rollback, batch, stage.entity.entity, stage.source)
    there = sql.SQL(
        "select u.key, u.id, t.xmin, u.row_xid::text::xid, u.image, u.prior::text::xid"
        " from {} u join {} t on t.id = u.id where u.verdict = 'done' and u.row_xid is not null order by u.n"
    ).format(UNDO, stage.relation)
    gone = sql.SQL(
        "select u.key, u.id, pg_current_xact_id()::xid, u.row_xid::text::xid, u.image, null::xid"
        " from {} u where u.verdict = 'done' order by u.n"
    ).format(UNDO)
    again = sql.SQL(
        "select u.key, u.id, t.xmin, null::xid, null::jsonb, u.prior::text::xid"
        " from {} u join {} t on t.id = u.id where u.verdict = 'done' and u.row_xid is null order by u.n"
    ).format(UNDO, stage.relation)
    written = {
        "insert": [("delete", gone)],
        "update": [("update", there)],
        "link": [("link", there)],
        "delete": [("update", there), ("insert", again)],
    }
    for operation, rows in written[stage.segment.operation]:
        stage.connection.execute(entries(named, operation, rows, (*CHANGE, "restores")))


def _keyless(stage: Stage) -> sql.Composable:
    """Whether the undo left no row under the line's legacy key: deleted, or a native row again that was adopted."""
    if stage.segment.operation == "insert":
        return sql.SQL("true")
    keys = [c for c in stage.key_columns if c in stage.segment.columns]
    unset = [sql.SQL("u.before ->> {} is null").format(sql.Literal(c)) for c in keys]
    return sql.SQL("({})").format(sql.SQL(" or ").join([sql.SQL("false"), *unset]))


def _forget_ids(stage: Stage, rollback: str) -> None:
    """Keys whose row is gone: the cache must not know them, and a key that returns gets its old id back."""
    names = {
        "undo": UNDO, "entity": sql.Literal(stage.entity.entity), "source": sql.Literal(stage.source),
        "rollback": sql.Literal(rollback), "keyless": _keyless(stage),
    }  # fmt: skip
    stage.connection.execute(
        sql.SQL(
            "delete from hybrid_sync.pending_link where entity = {entity} and source = {source}"
            " and key in (select key from {undo} u where verdict = 'done' and {keyless})"
        ).format(**names)
    )
    if stage.segment.operation == "insert":
        stage.connection.execute(
            sql.SQL(
                "insert into hybrid_sync.retired_id (entity, source, key, id, run_id)"
                " select {entity}, {source}, key, id, {rollback} from {undo} where verdict = 'done'"
                " on conflict (entity, source, key) do nothing"
            ).format(**names)
        )
    stage.connection.execute(
        sql.SQL(
            "update hybrid_sync.entity_state set cache_epoch = cache_epoch + 1 where entity = {entity}"
            " and exists (select from {undo} u where verdict = 'done' and {keyless})"
        ).format(**names)
    )

"""Taking rows out of the target whose legacy rows are gone: deleted, or marked by the columns that the catalog sets.

Either way journalled in the same statement, so that an undo brings the row back as it was: all columns of a deleted
row, native ones included, under its old id; of a marked row just the columns that were set.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence

from psycopg import sql

from hybrid_sync.blame import CONTENTION
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.shape import TargetTable
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.failpoints import failpoint
from hybrid_sync.halve import Refused
from hybrid_sync.keys import COLUMN, is_row_of, key_from_json
from hybrid_sync.postgres import Connection
from hybrid_sync.recorded.checks import IGNORED, MANAGED, NATIVE
from hybrid_sync.write.images import image_of, restorable
from hybrid_sync.write.isolate import reason_of
from hybrid_sync.write.journal import Batch, entries, follow_triggers
from hybrid_sync.write.native import AS_NATIVES, write_each
from hybrid_sync.write.referring import Doomed, keep_referred
from hybrid_sync.write.split import MISPLACED, SUPPRESSED
from hybrid_sync.write.tombstones import is_marked

_REMOVAL = sql.Identifier("pg_temp", "hybrid_sync_removal")
_CREATE = sql.SQL("""
drop table if exists pg_temp.hybrid_sync_removal;
create temp table hybrid_sync_removal (
  n int generated always as identity, id uuid, key {key}, outcome text, reason text, constraint_name text,
  sqlstate text
) on commit drop
""").format(key=COLUMN)
_DOOMED = Doomed(
    _REMOVAL, sql.SQL("outcome is null"),
    sql.SQL("outcome = 'kept', reason = case when r.native then {} else {} end").format(NATIVE, MANAGED),
)  # fmt: skip
_STILL_REFERRED = ("23503", "23001")
"""What a foreign key answers: a reference that appeared where no lock of ours could hold it back."""


@dataclass(frozen=True)
class Outcome:
    """What became of one key: `deleted`, `marked`, `kept` with a reason, or `absent` when it had no live row."""

    key: Key
    outcome: str
    reason: str | None = None
    constraint: str | None = None
    sqlstate: str | None = None


class Removal:
    """Removes rows of one source by its entity's policy, within the caller's transaction and under its bucket locks."""

    def __init__(
        self, connection: Connection, catalog: Catalog, entity: Entity, source: str, shape: TargetTable, run_id: str
    ) -> None:
        self._connection = connection
        self._catalog = catalog
        self._entity = entity
        self._source = source
        self._shape = shape
        self._relation = sql.Identifier(shape.schema, shape.name)
        self.batch = Batch(run_id, uuid.uuid4(), entity.entity, source)
        self._place = sql.SQL("{}, {}").format(sql.Literal(entity.entity), sql.Literal(source))
        self._run = sql.Literal(run_id)
        connection.execute(_CREATE)

    def remove(self, keys: Sequence[Key]) -> list[Outcome]:
        """Every key with its outcome; safe to repeat.  Nothing is changed under the policy `ignore`."""
        policy = self._entity.on_delete.policy
        self._stage(keys, exclusive=policy == "hard")
        if policy == "hard":
            keep_referred(self._connection, self._catalog, self._entity, _DOOMED)
            self._attempt(self._delete)
        elif policy == "soft":
            self._attempt(self._mark)
            follow_triggers(self._connection, self._shape, self.batch.batch_id)
        # What nobody refused and still was not done, a trigger of the target left out without an error.
        self._keep_the_rest(IGNORED if policy == "ignore" else "trigger_suppressed")
        failpoint("delete.written", self._connection)
        return self._outcomes(keys)

    def _stage(self, keys: Sequence[Key], *, exclusive: bool) -> None:
        """The live rows of these keys, locked in id order; a row that is to be deleted against new references, too."""
        lock = sql.SQL("for {} of t").format(sql.SQL("update" if exclusive else "no key update"))
        self._connection.execute(self._live(keys, lock, sql.SQL("null"), sql.SQL("null")))
        if self._shape.row_security:
            # A policy that forbids the write hides a row from the lock, and it would pass for one that is not there.
            hidden = self._live(keys, sql.SQL(""), sql.SQL("'kept'"), sql.SQL("'policy_violation'"))
            self._connection.execute(hidden + sql.SQL(" where x.id not in (select id from {})").format(_REMOVAL))

    def _live(
        self, keys: Sequence[Key], lock: sql.Composable, outcome: sql.Composable, reason: sql.Composable
    ) -> sql.Composed:
        source = self._entity.sources[self._source]
        return sql.SQL(
            "insert into {removal} (id, key, outcome, reason) select x.id, x.key, {outcome}, {reason}"
            " from (select t.id, k.key from"
            " (select {key} as key"
            "  from jsonb_array_elements({keys}) e) k join {table} t on {own} where not {marked}"
            " order by t.id {lock}) x"
        ).format(
            removal=_REMOVAL, keys=sql.Literal(json.dumps([list(key) for key in keys])), table=self._relation,
            key=key_from_json(sql.SQL("e")), own=is_row_of(source, sql.SQL("k.key")), outcome=outcome, reason=reason,
            lock=lock, marked=is_marked(self._entity.entity, self._source, sql.SQL("k.key")),
        )  # fmt: skip

    def _attempt(self, statement: Callable[[Sequence[int]], sql.Composed]) -> None:
        rows = self._connection.execute(
            sql.SQL("select n from {} where outcome is null order by n").format(_REMOVAL)
        ).fetchall()
        for r in write_each(self._connection, [row[0] for row in rows], statement, self._check):
            reason = MANAGED if r.sqlstate in _STILL_REFERRED else reason_of(r.sqlstate)
            if r.sqlstate in CONTENTION:  # of which no row is to blame, unless a trigger chose the code
                reason = "trigger_exception"
            self._connection.execute(
                sql.SQL(
                    "update {} set outcome = 'kept', reason = {}, constraint_name = {}, sqlstate = {} where n = {}"
                ).format(_REMOVAL, reason, r.constraint, r.sqlstate, r.item)
            )

    def _check(self, lines: Sequence[int]) -> None:
        """A deleted row is gone and a marked one is there, whatever a trigger does about it."""
        row = self._connection.execute(
            sql.SQL(
                "select coalesce(bool_or(u.outcome = 'deleted' and t.id is not null), false),"
                " coalesce(bool_or(u.outcome = 'marked' and t.id is null), false)"
                " from {} u left join {} t on t.id = u.id where u.n = any(%s)"
            ).format(_REMOVAL, self._relation),
            (list(lines),),
        ).fetchone()
        assert row is not None, "an aggregate without grouping has one row"
        if any(row):
            raise Refused(SUPPRESSED if row[0] else MISPLACED)

    def _old(self, columns: Sequence[str], lines: Sequence[int]) -> sql.Composed:
        """The rows of the lines as they are before; prefixed, so that no name meets one in a catalog's expression."""
        return sql.SQL(
            "select t.id as hybrid_sync_id, u.key as hybrid_sync_key, t.xmin as hybrid_sync_prior,"
            " {image} as hybrid_sync_before from {table} t join {removal} u on u.id = t.id"
            " where u.outcome is null and u.n = any({lines})"
        ).format(image=image_of("t", columns), table=self._relation, removal=_REMOVAL, lines=sql.Literal(list(lines)))

    def _entries(self, operation: str, xid: str, done: str) -> sql.Composed:
        rows = sql.SQL(
            "select hybrid_sync_key, hybrid_sync_id, {}, hybrid_sync_prior, hybrid_sync_before"
            " from old join {} d on d.id = hybrid_sync_id"
        ).format(raw(xid), sql.Identifier(done))
        return entries(self.batch, operation, rows)

    def _delete(self, lines: Sequence[int]) -> sql.Composed:
        columns = [column.name for column in restorable(self._shape.columns, self._shape.columns, whole=True)]
        return sql.SQL(
            "with old as ({old}),"
            " gone as (delete from {table} t using old, {natives} where t.id = old.hybrid_sync_id returning t.id),"
            " retired as (insert into hybrid_sync.retired_id (entity, source, key, id, run_id)"
            "  select {place}, hybrid_sync_key, hybrid_sync_id, {run} from old join gone on gone.id = hybrid_sync_id"
            "  on conflict (entity, source, key) do update set id = excluded.id, run_id = excluded.run_id,"
            "  retired_at = clock_timestamp()),"
            " journalled as ({journal})"
            " update {removal} u set outcome = 'deleted' from gone where gone.id = u.id"
        ).format(
            old=self._old(columns, lines), table=self._relation, place=self._place, run=self._run,
            journal=self._entries("delete", "pg_current_xact_id()::xid", "gone"), removal=_REMOVAL, natives=AS_NATIVES,
        )  # fmt: skip

    def _mark(self, lines: Sequence[int]) -> sql.Composed:
        settings = self._entity.on_delete.set
        assignments = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(column), raw(expression))
            for column, expression in settings.items()
        )
        return sql.SQL(
            "with old as ({old}),"
            " marked as (update {table} t set {assignments} from old, {natives} where t.id = old.hybrid_sync_id"
            "  returning t.id, t.xmin as written_by, {written} as written),"
            " journalled as ({journal}),"
            " stone as (insert into hybrid_sync.tombstone (entity, source, key, run_id, before, written)"
            "  select {place}, hybrid_sync_key, {run}, hybrid_sync_before, written"
            "  from old join marked on marked.id = hybrid_sync_id"
            "  on conflict (entity, source, key) do update set run_id = excluded.run_id, at = clock_timestamp(),"
            "  before = excluded.before, written = excluded.written, ended_run = null, ended_at = null)"
            " update {removal} u set outcome = 'marked' from marked where marked.id = u.id"
        ).format(
            old=self._old(list(settings), lines), table=self._relation, assignments=assignments,
            written=image_of("t", settings), journal=self._entries("update", "written_by", "marked"),
            place=self._place, run=self._run, removal=_REMOVAL, natives=AS_NATIVES,
        )  # fmt: skip

    def _keep_the_rest(self, reason: str) -> None:
        self._connection.execute(
            sql.SQL("update {} set outcome = 'kept', reason = {} where outcome is null").format(
                _REMOVAL, sql.Literal(reason)
            )
        )

    def _outcomes(self, keys: Sequence[Key]) -> list[Outcome]:
        rows = self._connection.execute(
            sql.SQL("select key, outcome, reason, constraint_name, sqlstate from {}").format(_REMOVAL)
        ).fetchall()
        staged = {tuple(row[0]): Outcome(tuple(row[0]), *row[1:]) for row in rows}
        return [staged.get(key, Outcome(key, "absent")) for key in keys]

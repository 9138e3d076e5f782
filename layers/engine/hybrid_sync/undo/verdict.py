"""Whether a row still is what the run left: the entries of a batch beside the rows as they are now.

Every version of a row has the id of the transaction that wrote it (xmin), and the journal knows the one that the run
wrote.  An undo is a write too, so it notes which version it brought back; a row is then judged by that version.  Each
entry also names the version that it replaced, so a native edit between two writes of a run breaks the chain.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace

from psycopg import sql

from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.shape import TargetColumn, TargetTable
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import COLUMN, is_row_of
from hybrid_sync.postgres import Connection
from hybrid_sync.write.images import image_of, restorable
from hybrid_sync.write.journal import CHANGES
from hybrid_sync.write.renamed import Renamed, image_now

UNDO = sql.Identifier("pg_temp", "hybrid_sync_undo")
_WHOLE = sql.Identifier("pg_temp", "hybrid_sync_undo_whole")

_CREATE = sql.SQL("""
create temp table hybrid_sync_undo (
  n int generated always as identity, id uuid, key {key}, xid bigint, prior bigint, before jsonb,
  row_xid bigint, version bigint, image jsonb, verdict text, by_run text, sqlstate text, constraint_name text,
  source text
) on commit drop
""").format(key=COLUMN)


@dataclass(frozen=True)
class Segment:
    """Entries of one batch that are undone together: one operation over the same columns; of several sources where
    it only puts columns back."""

    batch_id: uuid.UUID
    operation: str
    columns: tuple[str, ...]
    lines: tuple[tuple[int, int], ...]
    """Of the journal's changes: `seq` and `place`."""
    sources: tuple[str, ...]

    def joined(self, other: Segment) -> Segment | None:
        """Both in one, where another source's rows can go back together with these."""
        alike = self.operation in ("update", "link") and (self.operation, self.columns) == (
            other.operation,
            other.columns,
        )
        if not alike or set(other.sources) <= set(self.sources):
            return None
        return replace(self, lines=self.lines + other.lines, sources=(*self.sources, *other.sources))


@dataclass(frozen=True)
class Names:
    """What the entity has been called, and its sources."""

    now: Mapping[str, str]
    """Of the sources: those of then, and what they are called now."""
    ever: tuple[str, ...]
    """Of the entity."""


class Stage:
    """The entries of one segment; `verdict` is `ours` where the undo may go on, else why it may not."""

    def __init__(
        self, connection: Connection, table: TargetTable, entity: Entity, run_id: str, renamed: Renamed, names: Names
    ) -> None:
        self.connection = connection
        self.run_id = run_id
        self.table = table
        self.entity = entity
        self.renamed = renamed
        self.names = names
        self.source = next(iter(entity.sources))
        """Of the lines; of the first of them where there are several."""
        self.segment = Segment(uuid.UUID(int=0), "", (), (), (self.source,))
        self.relation = sql.Identifier(table.schema, table.name)
        connection.execute(_CREATE)

    def numbers(self) -> range:
        """The numbers of the staged lines."""
        row = self.connection.execute(sql.SQL("select coalesce(max(n), 0) from {}").format(UNDO)).fetchone()
        return range(1, (row[0] if row else 0) + 1)

    @property
    def key_columns(self) -> tuple[str, ...]:
        return tuple(self.entity.sources[self.source].key)

    @property
    def columns(self) -> list[TargetColumn]:
        """What the undo writes: the columns of the before-images that the table still has."""
        return restorable(self.table.columns, self.segment.columns)

    def is_filled(self, column: str) -> bool:
        """Whether runs fill the column; of the others a row has what the target gave it."""
        source = self.entity.sources[self.source]
        return column == "id" or any(
            column in filled for filled in (source.key, source.discriminator, source.columns, source.references)
        )

    def fill(self, segment: Segment) -> None:
        """Stage the segment's entries, lock their rows, and judge each of them."""
        self.segment, self.source = segment, segment.sources[0]
        self.connection.execute(sql.SQL("truncate {} restart identity").format(UNDO))
        self.connection.execute(self._inserted() if segment.operation == "insert" else self._changed())
        # Without statistics the planner takes a fresh temporary table for large and hashes the whole target.
        self.connection.execute(sql.SQL("analyze {}").format(UNDO))
        self._look()
        self._find_versions()
        self._judge()

    def by_source(self) -> Iterator[str]:
        """Go through the lines source by source: while it is one's turn, the stage has only those."""
        if len(self.segment.sources) == 1:
            yield self.source
            return
        self.connection.execute(
            sql.SQL(
                "drop table if exists {whole}; create temp table hybrid_sync_undo_whole on commit drop as table {undo}"
            ).format(whole=_WHOLE, undo=UNDO)
        )
        for source in self.segment.sources:
            self.source = source
            self.connection.execute(
                sql.SQL(
                    "truncate {undo}; insert into {undo} overriding system value select * from {whole}"
                    " where source = {source}; analyze {undo}"
                ).format(undo=UNDO, whole=_WHOLE, source=source)
            )
            yield source

    # --- the entries -----------------------------------------------------------------------------------------

    def _entries(self) -> sql.Composed:
        return sql.SQL(
            "(select * from {} j where batch_id = {}"
            " and (seq, place) in (select * from unnest({}, {})))"
        ).format(
            CHANGES, self.segment.batch_id, [seq for seq, _ in self.segment.lines],
            [place for _, place in self.segment.lines],
        )  # fmt: skip

    def _changed(self) -> sql.Composed:
        return sql.SQL(
            "insert into {} (id, key, xid, prior, before, source)"
            " select id, keys, xid::text::bigint, prior::text::bigint, {}, {}::jsonb ->> source from {} j order by id"
        ).format(UNDO, image_now(sql.SQL("before"), self.renamed), json.dumps(self.names.now), self._entries())

    def _inserted(self) -> sql.Composed:
        """One line for each inserted row; its key says which row that is, and no row means that it is gone."""
        return sql.SQL(
            "insert into {undo} (id, key, xid) select t.id, k.key, k.xid from"
            " (select j.xid::text::bigint as xid, j.keys[(i - 1) * {width} + 1 : i * {width}] as key"
            "  from {entries} j, generate_series(1, cardinality(j.keys) / {width}) i) k"
            " left join {table} t on {own} order by t.id"
        ).format(
            undo=UNDO, width=sql.Literal(len(self.key_columns)), entries=self._entries(), table=self.relation,
            own=is_row_of(self.entity.sources[self.source], sql.SQL("k.key")),
        )  # fmt: skip

    # --- the rows --------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Lock the rows in id order, then read what they are: nobody changes them until the undo has committed."""
        names = self.segment.columns if self.segment.operation in ("update", "link") else tuple(self.table.columns)
        image = image_of("t", (column.name for column in restorable(self.table.columns, names)))
        self.connection.execute(
            sql.SQL(
                "select count(*) from (select from {} t where t.id in (select id from {})"
                " order by t.id for update of t) locked"
            ).format(self.relation, UNDO)
        )
        self.connection.execute(
            sql.SQL(
                "update {} u set row_xid = t.xmin::text::bigint, version = t.xmin::text::bigint, image = {}"
                " from {} t where t.id = u.id"
            ).format(UNDO, image, self.relation)
        )

    def _find_versions(self) -> None:
        """Follow the undos that a row has been through to the version that they brought back."""
        step = sql.SQL(
            "update {} u set version = j.restores::text::bigint from hybrid_sync.journal j"
            " where (j.xid::text)::bigint = u.version and j.id = u.id and j.restores is not null"
            " and u.version <> u.xid and u.version is distinct from u.prior"
        ).format(UNDO)
        while self.connection.execute(step).rowcount:
            pass

    def _judge(self) -> None:
        operation = self.segment.operation
        judge = (
            _JUDGE_DELETED if operation == "delete" else _JUDGE_INSERTED if operation == "insert" else _JUDGE_CHANGED
        )
        self.connection.execute(judge.format(undo=UNDO))
        if operation == "delete":
            self.connection.execute(
                sql.SQL(
                    "update {} u set verdict = 'occupied', version = t.xmin::text::bigint from {} t"
                    " where u.verdict = 'ours' and u.row_xid is null and {}"
                ).format(UNDO, self.relation, is_row_of(self.entity.sources[self.source], sql.SQL("u.key")))
            )
        self.connection.execute(_WRITTEN_BY.format(undo=UNDO, names=sql.Literal(list(self.names.ever))))
        self.connection.execute(_DELETED_BY.format(undo=UNDO, run=sql.Literal(self.run_id)))


# A row that an earlier undo of the same run has taken back already is at the version before the entry.
_JUDGE_CHANGED = sql.SQL(
    "update {undo} set verdict = case when row_xid is null then 'gone' when version = xid then 'ours'"
    " when version = prior then 'already' else 'edited' end"
)
_JUDGE_INSERTED = sql.SQL(
    "update {undo} set verdict = case when row_xid is null then 'absent' when version = xid then 'ours'"
    " else 'edited' end"
)
# A row that the run marked as deleted is there, at the entry's version; one that it removed is not.
_JUDGE_DELETED = sql.SQL(
    "update {undo} set verdict = case when row_xid is null or version = xid then 'ours'"
    " when version = prior then 'already' else 'occupied' end"
)
# A transaction of ours never holds a person's write, so one entry of it is enough to know whose the version is.
_WRITTEN_BY = sql.SQL(
    "update {undo} u set by_run = w.run_id, verdict = 'superseded' from (select n, (select j.run_id"
    "  from hybrid_sync.journal j where (j.xid::text)::bigint = c.version and j.entity = any({names}) limit 1)"
    "  as run_id from {undo} c where c.verdict in ('edited', 'occupied')) w where w.n = u.n and w.run_id is not null"
)
_DELETED_BY = sql.SQL(
    "update {undo} u set by_run = j.run_id, verdict = case when r.undoes = {run} then 'already' else 'superseded' end"
    " from hybrid_sync.journal j join hybrid_sync.run r on r.run_id = j.run_id"
    " where u.verdict = 'gone' and j.id = u.id and j.operation = 'delete'"
)

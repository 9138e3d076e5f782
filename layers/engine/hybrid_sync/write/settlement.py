"""All rows of one entity whose unique values move, of every source and batch, staged together and written as one."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from psycopg import sql

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.models import Source
from hybrid_sync.catalog.shape import TargetTable
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import decode_key, is_row_of, key_columns, record_key
from hybrid_sync.postgres import Connection
from hybrid_sync.rows.splice import SplicedBatch
from hybrid_sync.write.park import move
from hybrid_sync.write.row_loop import RowLoop
from hybrid_sync.write.split import ALTERED_STATE, RowRefusal
from hybrid_sync.write.wants import Wants
from hybrid_sync.write.write import Writer, Written

SourceKey = tuple[str, Key]
"""A legacy row of the entity: source and key."""


@dataclass
class Settled:
    """What the write did, by legacy row."""

    written: Written
    arrived: set[SourceKey] = field(default_factory=set)
    refused: dict[SourceKey, RowRefusal] = field(default_factory=dict)


class Settlement:
    """Lives in one transaction of the target; the caller holds the buckets of everything that it stages."""

    def __init__(
        self, connection: Connection, table: TargetTable, plans: Mapping[str, ReadPlan], run_id: str, batch: uuid.UUID
    ) -> None:
        self._connection = connection
        self._plans = plans
        self._places: dict[uuid.UUID, SourceKey] = {}
        self._refused: list[RowRefusal] = []
        self.writer = Writer(connection, table, _of_all(plans), run_id, batch, staging=True)
        self._loop = RowLoop(self.writer)

    def stage(self, source: str, rows: SplicedBatch) -> None:
        """Add rows of one source; they carry their pending flags, new ones too."""
        plan = self._plans[source]
        for some, new in ((rows.known, False), (rows.new, True)):
            self._places |= {
                uuid.UUID(bytes=identity): (source, decode_key(key))
                for identity, key in zip(some.ids, some.keys, strict=True)
            }
            self._refused += self._loop.add(plan, some, new=new)

    def outsiders(self, sources: Mapping[str, Source]) -> set[SourceKey]:
        """Mapped rows that are not staged and hold a unique value that a staged row is to get."""
        self._loop.ready(adopting=self.writer.statements.adopting)
        with self._connection.transaction(force_rollback=True):
            found = Wants(self._connection, self._loop.about_to_move()).outsiders - self._places.keys()
        return {place for source, one in sources.items() for place in self._mapped(source, one, sorted(found))}

    def _mapped(self, source: str, definition: Source, ids: Sequence[uuid.UUID]) -> set[SourceKey]:
        key = record_key(key_columns(definition.key, "t"))
        rows = self._connection.execute(
            sql.SQL("select {key} from {table} t where t.id = any(%s) and {own}").format(
                key=key, table=self._loop.statements.relation, own=is_row_of(definition, key)
            ),
            (list(ids),),
        ).fetchall()
        return {(source, tuple(row[0])) for row in rows}

    def write(self) -> Settled:
        """Write what can be written, journalled once with what stood there before anything moved."""
        self._loop.ready(adopting=self.writer.statements.adopting)
        self._refused += move(self._loop)
        staged = len(self._places.keys() - {r.item for r in self._refused})
        self._refused += [RowRefusal(row, ALTERED_STATE) for row in self._loop.altered()]
        refused = {self._places[r.item]: r for r in self._refused}
        arrived = set(self._places.values()) - refused.keys()
        written = Written()
        for source in self._plans:
            written.add(self._loop.journal_updates(source))
            written.add(self._loop.journal_inserts(source))
        written.unchanged = staged - written.updated - written.inserted
        return Settled(written, arrived, refused)


def _of_all(plans: Mapping[str, ReadPlan]) -> ReadPlan:
    """One plan for the table: every source fills the same columns, but may put off other references."""
    first = next(iter(plans.values()))
    deferred = {slot.column for plan in plans.values() for slot in plan.references if slot.deferred}
    return replace(
        first, references=tuple(replace(slot, deferred=slot.column in deferred) for slot in first.references)
    )

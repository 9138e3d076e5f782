"""Undo one journalled batch: newest entry first, each row only where it still is what the batch left.

The batch was one transaction of the target, and so is its undo, which is journalled like any other write.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from typing import TYPE_CHECKING

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Source
from hybrid_sync.catalog.place import Place, table
from hybrid_sync.catalog.shape import TargetTable
from hybrid_sync.contracts import UndoneBatch
from hybrid_sync.dataclass import dataclass
from hybrid_sync.erase import records
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.keys import bucket_of
from hybrid_sync.postgres import Connection, answer
from hybrid_sync.runs.called import names_ever, names_now
from hybrid_sync.schema.target_structure import read_table
from hybrid_sync.undo.aftermath import record
from hybrid_sync.undo.take_back import delete, insert, restore
from hybrid_sync.undo.verdict import Names, Segment, Stage
from hybrid_sync.write.batches import lock_buckets, require_running
from hybrid_sync.write.journal import CHANGES
from hybrid_sync.write.renamed import Renamed, missing, named_now, renamed_since

if TYPE_CHECKING:
    from hybrid_sync.write.around import Around


@dataclass(frozen=True)
class UndoTask:
    """One batch of the run that is undone, as one step of the rollback."""

    rollback: str
    run_id: str
    batch_id: uuid.UUID
    entity: str
    sources: tuple[str, ...]
    """Those that it wrote rows of; several where unique values moved between them, which only go back together."""
    then: tuple[Place, ...]
    """What these sources were called when the run wrote them, each in its place; of one entity."""

    @property
    def identity(self) -> uuid.UUID:
        """The step's own name, so that a repeat finds it done."""
        named = json.dumps([self.rollback, str(self.batch_id), self.written_as, *(place[1] for place in self.then)])
        return uuid.UUID(bytes=hashlib.sha256(named.encode()).digest()[:16])

    @property
    def written_as(self) -> str:
        """The entity's name of then."""
        return self.then[0][0]

    @property
    def now(self) -> dict[str, str]:
        """Sources of then, and what they are called now."""
        return {place[1]: source for place, source in zip(self.then, self.sources, strict=True)}


# By the journal's sequence: whoever refers to a row was written after it, so it is undone before it. A batch is one
# transaction, so its last entry says when others could begin to refer to it.
_BATCHES = """
select batch_id, entity, array_agg(distinct source order by source) from hybrid_sync.journal where run_id = %s
group by batch_id, entity order by max(seq) desc
"""


def steps(connection: Connection, catalog: Catalog, rollback: str, run_id: str) -> list[UndoTask]:
    """What the rollback has not undone yet, the batch that ended last first; nothing of an entity that has failed."""
    found = connection.execute(_BATCHES, (run_id,)).fetchall()
    written = {(entity, source) for _, entity, sources in found for source in sources}
    now = names_now(connection, catalog, run_id, written)
    tasks: list[UndoTask] = []
    for batch, entity, sources in found:
        then: dict[str, list[Place]] = {}
        for source in sources:
            then.setdefault(now[entity, source][0], []).append((entity, source))
        for called, places in then.items():
            tasks.append(UndoTask(rollback, run_id, batch, called, tuple(now[p][1] for p in places), tuple(places)))
    rows = connection.execute(
        "select batch_id, null from hybrid_sync.batch_done where run_id = %s and result is not null"
        " union all select null, entity from hybrid_sync.run_entity where run_id = %s and status = 'failed'",
        (rollback, rollback),
    ).fetchall()
    done, failed = {row[0] for row in rows}, {row[1] for row in rows}
    return [task for task in tasks if task.identity not in done and task.entity not in failed]


def undo_batch(connection: Connection, catalog: Catalog, task: UndoTask) -> UndoneBatch:
    """Undo the batch within the caller's transaction; a repeat does nothing.

    Rows that have changed since, or that something refers to, stay as they are and are recorded as conflicts.
    """
    began = time.monotonic()
    require_running(connection, task.rollback)
    # Once nobody of the entity is being erased: the journal has no image of those who were.
    answer(connection, records.number(task.entity))
    found = {source: _buckets(connection, catalog, task, then) for then, source in task.now.items()}
    buckets = {source: some for source, some in found.items() if some}
    numbers = [number for some in buckets.values() for number in some]
    if not numbers:
        return UndoneBatch()  # all that it wrote was of people who have been erased since the rollback listed it
    for source, some in buckets.items():
        lock_buckets(connection, task.entity, source, some)
    claimed = connection.execute(
        "insert into hybrid_sync.batch_done (batch_id, run_id, entity, source, lo, hi)"
        " values (%s, %s, %s, %s, %s, %s) on conflict (batch_id) do nothing returning 1",
        (task.identity, task.rollback, task.entity, task.sources[0], min(numbers), max(numbers) + 1),
    ).fetchone()
    if claimed is None:
        return UndoneBatch()
    done = _undo(connection, catalog, task)
    connection.execute(
        "update hybrid_sync.batch_done set result = %s, seconds = %s, done_at = clock_timestamp() where batch_id = %s",
        (done.model_dump_json(), time.monotonic() - began, task.identity),
    )
    return done


def _buckets(connection: Connection, catalog: Catalog, task: UndoTask, then: str) -> list[int]:
    """The key buckets that the batch had locked for these rows of one source."""
    width = len(_known(catalog, task, then).key)
    rows = connection.execute(
        sql.SQL(
            "select distinct {} from hybrid_sync.journal j, unnest(j.keys) with ordinality as u (k, place)"
            " where batch_id = {} and entity = {} and source = {} and (place - 1) % {} = 0 order by 1"
        ).format(bucket_of(sql.SQL("k")), *map(sql.Literal, (task.batch_id, task.written_as, then, width)))
    ).fetchall()
    return [int(row[0]) for row in rows]


def _known(catalog: Catalog, task: UndoTask, then: str) -> Source:
    """What shows which table the rows are of, and how long a key is; StructureMismatch where that has gone."""
    definition = catalog.entities.get(task.entity)
    known = definition.sources.get(task.now[then]) if definition else None
    if known is None:
        what = f"source {then} in {task.entity}" if definition else f"entity {task.entity}"
        raise StructureMismatch(
            f"The run wrote rows of {task.written_as} ({then}), and the catalog has no {what} any more.",
            "Give the catalog back what it had, under that name, for the length of the rollback, then roll back again.",
        )
    return known


# Entries of one kind over the same columns go together; a row that was written twice keeps its order.
_SEGMENTS = sql.SQL("""
with entry as (
  select seq, place, operation, source,
         case when before is not null then array(select jsonb_object_keys(before) order by 1) end as columns,
         case when id is null then 1 else row_number() over (partition by id, operation order by seq desc) end as turn
  from {} j where batch_id = %s and entity = %s and source = any(%s)
), cut as (
  select *, (operation, columns, source) is distinct from
            (lag(operation) over (partition by turn order by seq), lag(columns) over (partition by turn order by seq),
             lag(source) over (partition by turn order by seq))
            as fresh from entry
), numbered as (
  select *, count(*) filter (where fresh) over (partition by turn order by seq) as part from cut
)
select turn, operation, columns, source, array_agg(seq), array_agg(place)
from numbered group by turn, part, operation, columns, source
order by turn, max(seq) desc
""").format(CHANGES)


def _undo(connection: Connection, catalog: Catalog, task: UndoTask) -> UndoneBatch:
    definition = catalog[task.entity]
    shape = read_table(connection, definition)
    known = renamed_since(connection, task.run_id, task.written_as, table(definition.target))
    segments = _segments(connection, task, known or {})
    if known is None:
        _require_named(task, shape, segments)
    names = Names(task.now, tuple(names_ever(connection, catalog, [task.entity, task.written_as])))
    stage = Stage(connection, shape, definition, task.run_id, known or {}, names)
    around = _around(connection, catalog, definition.target) if shape.writes_beside else None
    done = UndoneBatch()
    for segment in segments:
        stage.fill(segment)
        if segment.operation == "insert":
            delete(stage, catalog)
        else:
            restore(stage)
            if segment.operation == "delete":
                insert(stage)
        for _ in stage.by_source():
            done = done.plus(record(stage, task.rollback, task.identity))
    if around is not None:
        around.record(task.rollback, task.identity, done.inserted + done.updated)
    return done


def _around(connection: Connection, catalog: Catalog, target: str) -> Around:
    from hybrid_sync.write.around import Around  # only where a write may set off others

    return Around(connection, catalog, target)


def _require_named(task: UndoTask, shape: TargetTable, segments: list[Segment]) -> None:
    """Without a record of numbers an image goes back by its names alone, which must then be those of columns."""
    lost = missing((column for segment in segments for column in segment.columns), shape)
    if lost is not None:
        raise StructureMismatch(
            f"Run {task.run_id} recorded no numbers of the columns of {task.entity}, and its table has no {lost} any"
            " more: whether that was dropped or has another name, nobody knows.",
            f"Have a column called {lost} for the length of the rollback, the renamed one or a new one.",
        )


def _segments(connection: Connection, task: UndoTask, renamed: Renamed) -> list[Segment]:
    """The newest first. Of several sources: first what holds values that others had, then what changed, together."""
    rows = connection.execute(_SEGMENTS, (task.batch_id, task.written_as, list(task.now))).fetchall()
    if len(task.sources) > 1:
        rows.sort(key=lambda row: (row[0], row[1] != "insert"))
    found: list[Segment] = []
    turns: list[int] = []
    for turn, operation, columns, source, seqs, places in rows:
        segment = Segment(
            task.batch_id, operation, named_now(columns or [], renamed), tuple(zip(seqs, places, strict=True)),
            (task.now[source],),
        )  # fmt: skip
        if found and turns[-1] == turn and (joined := found[-1].joined(segment)) is not None:
            found[-1] = joined
        else:
            found.append(segment)
            turns.append(turn)
    return found

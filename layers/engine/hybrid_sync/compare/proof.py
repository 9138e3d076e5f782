"""The proof of the ids that a run took from the cache: what it wrote refers to the rows that legacy names.

A page of the cache is believed by its seal, and a seal can be wrong: made by somebody who has the id secret, or by an
error of ours.  So before the fence moves, the references that the run wrote are compared as legacy keys, through the
target's own parents.  A row whose references are what they were before the run changed it is not among them: whoever
wrote those had them proved.  A run with a reconcile has compared every row already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.place import table
from hybrid_sync.compare.canonical import Canonical, canonical
from hybrid_sync.compare.checksums import Sides, differing_buckets
from hybrid_sync.compare.origin import native_xids
from hybrid_sync.compare.parts import Range
from hybrid_sync.compare.recheck import Difference, recheck
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.ids.guard import epoch_of, forget
from hybrid_sync.keys import first_part
from hybrid_sync.postgres import Connection
from hybrid_sync.rows.failed import FailedRow
from hybrid_sync.runs.store import record_part
from hybrid_sync.schema.plans import EntityPlan
from hybrid_sync.write.batches import record_failed

_AT_ONCE = 1_000
_FEW = 20_000
"""Keys up to which each is looked up; beyond, both sides' checksums are compared first, in one pass."""
_ASKED = 5
"""So many times as many written rows are asked for those whose references changed, where that is not known: mostly few
did."""
_EQUAL_AT_ONCE = 5_000
"""Of the few, so many together, as long as both sides have the same."""


@dataclass(frozen=True)
class WrongReference:
    """A row that the run wrote with a reference to another row than legacy names."""

    source: str
    key: Key
    column: str


def of_references(catalog: Catalog, plan: ReadPlan) -> Canonical:
    """The rows compared only by which legacy rows they refer to."""
    return canonical(catalog, plan).only({slot.column for slot in plan.references})


def unproved(run_id: str, plan: EntityPlan, source: str, target: Connection) -> list[Key] | None:
    """Rows that this run has written, and earlier runs whose writes were never verified, of which it is not known that
    their references stayed as they were; None where they are too many to be looked up."""
    if not plan.sources[source].references:
        return []
    keys = _referring(target, run_id, plan, source)
    return None if keys is None or len(keys) > _FEW else keys


def wrong_references(
    run_id: str, catalog: Catalog, entity: Entity, plan: EntityPlan, source: str, waiting: list[Key] | None,
    after_fence: sql.Composable, part: Range, legacy: Connection, target: Connection,
) -> list[WrongReference]:  # fmt: skip
    """Rows of a part of one source that wait for their proof (`unproved`) and refer elsewhere; both connections hold
    snapshots.

    `after_fence` is the condition that legacy has changed a row since.  What was changed natively is not ours.
    """
    if waiting == []:
        return []
    sides = Sides(
        plan.sources[source], entity.sources[source], table(entity.target),
        of_references(catalog, plan.sources[source]), after_fence, part, legacy, target,
    )  # fmt: skip
    found: list[tuple[Difference, str]] = []
    for keys in _suspects(sides, waiting):
        for one in recheck(sides, keys, sql.SQL("false")):
            if isinstance(one, Difference) and one.kind == "changed":
                found += [(one, column) for column in one.columns]
    native = native_xids(target, run_id, entity.entity, {one.xmin for one, _ in found if one.xmin is not None})
    return [WrongReference(source, one.key, column) for one, column in found if one.xmin not in native]


def refuse(connection: Connection, run_id: str, catalog: Catalog, entity: str, wrong: Sequence[WrongReference]) -> None:
    """Record the rows as failed, and drop the parents' cached ids: a retry asks the target for each parent."""
    sources = catalog[entity].sources
    for source in {one.source for one in wrong}:
        rows = {
            one.key: FailedRow(one.key, "wrong_reference", one.column, present=True)
            for one in wrong
            if one.source == source
        }
        record_failed(connection, run_id, entity, source, list(rows.values()))
        slots = [sources[source].references[one.column] for one in wrong if one.source == source]
        for parent in {parent.to for slot in slots for parent in slot.parents}:
            forget(connection, parent, epoch_of(connection, parent))
    text = (
        f"{len(wrong)} rows of {entity} were written with a reference to another row than legacy names, because the id"
        " cache held wrong ids. The cache has been forgotten, and the next run writes the rows anew; find out who can"
        " write to the id map's table."
    )
    record_part(connection, run_id, entity, failure={"code": "mapping_corrupt", "text": text})


def has_unproved(target: Connection, run_id: str, plan: EntityPlan, sources: Collection[str] | None = None) -> bool:
    """Whether rows with references were written, of one of these sources or any, that no verification has looked at."""
    named = [name for name in (plan.sources if sources is None else sources) if plan.sources[name].references]
    if not named:
        return False
    written = _written(run_id, plan.sources[named[0]].entity, named)
    query = sql.SQL("select exists (select from hybrid_sync.journal j where {} and cardinality(j.keys) > 0)")
    [(found,)] = target.execute(query.format(written)).fetchall()
    return bool(found)


def _written(run_id: str, entity: str, sources: Collection[str]) -> sql.Composed:
    """The condition of what this run has written of these sources, and earlier ones that wrote since the fence last
    moved and were never verified.

    A row that a lost run wrote with a wrong id looks unchanged to this run, which resolves the same id again.
    """
    return sql.SQL(_WRITTEN).format(run=run_id, entity=entity, sources=list(sources))


def _suspects(sides: Sides, waiting: list[Key] | None) -> Iterator[list[Key]]:
    if waiting is None:
        sides.settle()
        ours, theirs = sides.compare()
        keys = list(sides.differing_keys(differing_buckets(ours, theirs)))
        yield from (keys[at : at + _AT_ONCE] for at in range(0, len(keys), _AT_ONCE))
        return
    keys = [key for key in waiting if first_part(key) in sides.range]
    for start in range(0, len(keys), _EQUAL_AT_ONCE):
        some = keys[start : start + _EQUAL_AT_ONCE]
        if not sides.hold_the_same(some):
            yield from (some[at : at + _AT_ONCE] for at in range(0, len(some), _AT_ONCE))


def _referring(target: Connection, run_id: str, plan: EntityPlan, source: str) -> list[Key] | None:
    """Keys of the rows that were inserted, linked, or changed so that they now refer elsewhere than before; None where
    so many rows may be such that each is too many to be looked at.

    A change says so itself; where it was not known then, since a trigger had its say, the before-image is compared.
    """
    read = plan.sources[source]
    columns = [slot.column for slot in read.references]
    before = sql.SQL(", ").join(sql.SQL("w.before ->> {}").format(sql.Literal(column)) for column in columns)
    now = sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(column)) for column in columns)
    width = len(read.key_columns)
    query = sql.SQL(_REFERRING).format(
        written=_written(run_id, read.entity, [source]), most=width * _ASKED * _FEW, before=before, now=now,
        target=sql.Identifier(plan.table.schema, plan.table.name),
    )  # fmt: skip
    rows = target.execute(query).fetchall()
    if any(some is None for (some,) in rows):
        return None
    return sorted({tuple(some[at : at + width]) for (some,) in rows for at in range(0, len(some), width)})


_WRITTEN = """
j.run_id = any(array(
  select {run} union
  select e.run_id from hybrid_sync.run_entity e join hybrid_sync.run r on r.run_id = e.run_id
  left join hybrid_sync.fence f on f.entity = e.entity
  where e.entity = {entity} and e.status <> 'verified'
  and (r.finished_at is null or f.advanced_at is null or r.finished_at > f.advanced_at)
)) and j.entity = {entity} and j.source = any({sources}) and j.operation in ('insert', 'update', 'link')
"""
# The journal is read once.  Row by row, since mostly none is asked: joined as a whole, the target's table was read too.
_REFERRING = """
with w as materialized (
  select j.keys, j.id, j.operation = 'update' and j.refers_anew is null as asks,
         case when j.refers_anew is null then j.before end as before
  from hybrid_sync.journal j where {written} and j.refers_anew is distinct from false
), rows as (select coalesce(sum(cardinality(keys)), 0) > {most} as are_too_many from w)
select null from rows where are_too_many
union all
select w.keys from w left join lateral (
  select true as are_kept from {target} t
  where w.asks and t.id = w.id and row({before}) is not distinct from row({now}) offset 0
) its_references on true
where not (select are_too_many from rows) and its_references.are_kept is null
"""

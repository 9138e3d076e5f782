"""What planning, or a reconcile, has counted of an entity may stand for its verification, as long as nothing of it was
written since: `run_entity.seen`.

Whoever writes, links, deletes or undoes a row of ours raises the generation of its bucket in the same transaction, and
what keeps a row out is a failed record.  So where the generations of the entity and of its parents and its failed
records are those of its snapshot, a second count would find what the first one found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.compile import table_of
from hybrid_sync.catalog.place import table
from hybrid_sync.compare import identity, one_pass, proof
from hybrid_sync.compare.canonical import canonical
from hybrid_sync.compare.checksums import not_excluded
from hybrid_sync.compare.entity_count import EntityCount
from hybrid_sync.compare.scope import Scope, ask_known, changed_after
from hybrid_sync.compare.side import Pass
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import make_room
from hybrid_sync.legacy.changes import Bucket, Detection, changed
from hybrid_sync.legacy.fence import Fence
from hybrid_sync.postgres import Connection, Question, snapshot, together
from hybrid_sync.schema.plans import EntityPlan
from hybrid_sync.session import Answer, Session

_NEWEST = 16
"""Keys at the end of a table that are looked at first: a table in use has new rows, or changes those."""
_STATE = """
select md5(concat_ws('/',
  (select concat_ws(',', count(*), sum(gen)) from hybrid_sync.bucket where entity = any({family})),
  (select coalesce(string_agg(md5(f::text), '' order by source, key), '')
   from hybrid_sync.failed_record f where entity = {entity} and status <> 'resolved'),
  (select coalesce(string_agg(md5(l::text), '' order by source, key, column_name), '')
   from hybrid_sync.pending_link l where entity = {entity}),
  (select count(*) from hybrid_sync.tombstone where entity = {entity} and ended_run is null)))
"""


def _state(catalog: Catalog, entity: str) -> sql.Composed:
    """An expression for a text that changes whenever we write a row of the entity or of a parent, or a failed record
    changes."""
    sources = catalog[entity].sources.values()
    family = {entity, *(p.to for source in sources for r in source.references.values() for p in r.parents)}
    return sql.SQL(_STATE).format(family=sorted(family), entity=entity)


def state_of(catalog: Catalog, entity: str) -> Question[str]:
    """The state of our own records of the entity: a text that changes with every write of ours to its rows or its
    parents'."""
    return Question(_state(catalog, entity), None, lambda found: str(found.fetchall()[0][0]))


def is_still_valid(catalog: Catalog, entity: str) -> sql.Composed:
    """The condition that it is still the one under which `e`, the entity's part of a run, was counted."""
    return sql.SQL("coalesce(e.seen->>'state' = ({}), false)").format(_state(catalog, entity))


@dataclass(frozen=True)
class EarlyCount:
    """Both sides of an entity as planning or a reconcile counted them: equal, and nothing to carry."""

    state: str
    counted: dict[str, Any]
    """Rows, money and references, as the verdict keeps them."""
    null_keys: dict[str, int]
    """By source: rows of legacy without a complete key."""
    definition: str
    """Of the catalog and the relations by which it was looked at."""

    @property
    def keys(self) -> dict[str, identity.KeyDefects]:
        """What the keys of each source are not; none is shared."""
        return {source: identity.KeyDefects({}, (), rows) for source, rows in self.null_keys.items()}


def state_if_counted(catalog: Catalog, run_id: str, entity: str) -> Question[str | None]:
    """The state as it is now, where planning has recorded one to compare it with; else None."""
    query = sql.SQL(
        "select case when (select seen is not null from hybrid_sync.run_entity where run_id = {} and entity = {})"
        " then ({}) end"
    ).format(run_id, entity, _state(catalog, entity))
    return Question(query, None, lambda found: found.fetchall()[0][0])


def still_valid(seen: Mapping[str, Any] | None, state: str | None) -> EarlyCount | None:
    """What was recorded; None where something of it was written since."""
    if seen is None or seen["state"] != state or "definition" not in seen:  # an older release did not say
        return None
    return EarlyCount(**seen)


def _seen(plan: EntityPlan, state: Answer[str], count: EntityCount, passes: Mapping[str, Pass]) -> EarlyCount | None:
    if not count.ok:
        return None
    null_keys = {source: ours.without_key for source, ours in passes.items()}
    return EarlyCount(state.value, count.as_json(), null_keys, plan.definition_hash)


def _scopes(
    catalog: Catalog, plan: EntityPlan, fence: Fence, name: str, legacy: Connection, target: Connection
) -> tuple[Answer[str], dict[str, Scope]]:
    """The state of our own records, and all of each source; the target is asked first, so that its snapshot is the
    older one: what legacy commits in between counts as changed, and never as missing."""
    entity, scopes = catalog[name], dict[str, Scope]()
    make_room(target)  # for the passes that follow
    with together(target) as trip:
        state = trip.ask(state_of(catalog, name))
        known = {source: ask_known(trip, name, source) for source in entity.sources}
    for source, definition in entity.sources.items():
        after_fence = changed_after(entity, definition, fence, legacy)
        scopes[source] = Scope(plan.sources[source], definition, table(entity.target), after_fence, None)
        scopes[source].find_failed(target, known[source])
    return state, scopes


def count_early(
    catalog: Catalog, plan: EntityPlan, run_id: str, fence: Fence, detection: Detection, name: str, legacy: Connection,
    target: Connection,
) -> tuple[dict[str, list[Bucket]] | None, EarlyCount | None]:  # fmt: skip
    """The changed rows of each source by bucket, and, where there are none, what both sides hold.

    None for the changed rows where some row cannot be computed, or where one of the youngest has changed: then there is
    something to carry, and to count it is enough.  None for the rest wherever a closer look is needed.
    """
    entity = catalog[name]
    count, passes = EntityCount(catalog, entity, legacy, target), dict[str, Pass]()
    with snapshot(target, "target"), snapshot(legacy, "legacy", path=entity.legacy_search_path):
        state, scopes = _scopes(catalog, plan, fence, name, legacy, target)
        for source, scope in scopes.items():
            changes = changed(scope.source, detection)
            ours = one_pass.over_legacy(scope, entity.money, legacy, changes, newest=_newest(scope))
            if ours is None:
                if isinstance(legacy, Session):
                    legacy.end_with_next()  # what changed is counted at once
                return None, None
            passes[source] = ours
        counts = {source: sorted(ours.changed.values()) for source, ours in passes.items()}
        if any(counts.values()) or proof.has_unproved(target, run_id, plan):
            return counts, None
        if not all(count.agrees(scope, passes[source]) for source, scope in scopes.items()):
            return counts, None
        count.count_native()
    return counts, _seen(plan, state, count, passes)


def _newest(scope: Scope) -> sql.Composed | None:
    """The condition of a source's last keys; None where no index leads there."""
    if not scope.plan.unique or len(scope.plan.key_exprs) > 1:
        return None
    key, base = scope.plan.key_exprs[0], table_of(scope.source)
    return sql.SQL("{key} between (select max({key}) - {size} from {base}) and (select max({key}) from {base})").format(
        key=key, base=base, size=sql.Literal(_NEWEST)
    )


def count_rows_early(
    catalog: Catalog, plan: EntityPlan, fence: Fence, name: str, legacy: Connection, target: Connection
) -> tuple[EarlyCount, dict[str, Pass]] | None:
    """What both sides hold, by source what legacy does, where they are equal row by row; None where a closer look is
    needed.  In the caller's snapshots."""
    entity = catalog[name]
    count, passes = EntityCount(catalog, entity, legacy, target), dict[str, Pass]()
    state, scopes = _scopes(catalog, plan, fence, name, legacy, target)
    for source, scope in scopes.items():
        form = canonical(catalog, scope.plan)
        # A row that fails by one rule before another excludes it counts as excluded; its record is for the closer look.
        failing = sql.SQL("{} and {}").format(scope.plan.excluded_sql, not_excluded(scope.plan))
        both = one_pass.over_both(scope, entity.money, legacy, target, failing, form=form)
        if both is None or both[0].changed or not count.agree(scope, *both):
            return None
        passes[source] = both[0]
    count.count_native()
    seen = _seen(plan, state, count, passes)
    return None if seen is None else (seen, passes)

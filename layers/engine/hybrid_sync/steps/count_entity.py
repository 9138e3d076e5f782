"""Count entity: what both sides hold of it, at once or part by part; a call goes on where the last one ended."""

from __future__ import annotations

import time
from dataclasses import field
from typing import Any

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.place import table
from hybrid_sync.compare import identity, proof
from hybrid_sync.compare.asked import look_up, named_keys
from hybrid_sync.compare.entity_count import EntityCount
from hybrid_sync.compare.partial_count import add_earlier, as_json, store_progress
from hybrid_sync.compare.parts import ALL, PART_BYTES, Range, ranges
from hybrid_sync.compare.scope import Scope, changed_after
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.failpoints import failpoint
from hybrid_sync.legacy import rows
from hybrid_sync.legacy.changes import changed
from hybrid_sync.legacy.fence import Fence
from hybrid_sync.postgres import Connection, snapshot, transaction
from hybrid_sync.recorded.asked import AskedRow
from hybrid_sync.runs.store import EntityRecord, RunRecord
from hybrid_sync.schema.plans import EntityPlan

PART_ROWS = 1_000_000
"""Rows of legacy in one part of a verification, whatever their size."""
PATIENCE = 300
"""Seconds after which a call begins no further part: one part and what follows have twice that left."""


@dataclass
class VerificationResult:
    """What verification found of an entity."""

    ok: bool
    """Rows, references and money add up."""
    counted: dict[str, Any]
    keys: dict[str, identity.KeyDefects]
    """By source: what its keys are not."""
    definition: str
    """Of the catalog and the relations by which it was looked at."""
    asked: list[AskedRow] = field(default_factory=list)
    """The rows that the request names."""
    wrong: list[proof.WrongReference] = field(default_factory=list)
    """What the run wrote with a reference to another row than legacy names."""


@dataclass(frozen=True)
class Sides:
    """One entity of one run, with open connections to both databases."""

    catalog: Catalog
    plan: EntityPlan
    run: RunRecord
    record: EntityRecord
    entity: Entity
    legacy: Connection
    target: Connection

    @property
    def carried(self) -> Fence:
        """The fence up to which the target should hold all: the run's, or the stored one where nothing was read."""
        detection = self.record.detection
        if detection is not None and detection.mode == "none" and detection.fence is not None:
            return detection.fence
        return self.run.fence


def count_entity(sides: Sides, stored_bytes: int) -> VerificationResult | None:
    """What both sides hold of the entity; None where another call has to go on.

    `stored_bytes` is the size of its table in the target.
    """
    known, detection = sides.record.verification, sides.record.detection
    some = sides.record.requested is not None or (detection is not None and detection.mode == "range")
    if some or (stored_bytes <= PART_BYTES and known is None):
        return _at_once(sides)
    state = known or {"parts": _parts(sides), "done": 0, "counted": None, "wrong": []}
    if len(state["parts"]) == len(sides.entity.sources):
        return _at_once(sides)
    return _by_part(sides, state)


def _parts(sides: Sides) -> list[tuple[str, int | None, int | None]]:
    path = sides.entity.legacy_search_path
    return [
        (name, keys.lo, keys.hi)
        for name, source in sides.entity.sources.items()
        for keys in ranges(sides.plan.sources[name], source, PART_ROWS, sides.legacy, path)
    ]


def _by_part(sides: Sides, state: dict[str, Any]) -> VerificationResult | None:
    began = time.monotonic()
    count = EntityCount(sides.catalog, sides.entity, sides.legacy, sides.target)
    if state["counted"] is not None:
        add_earlier(count, state["counted"])
    wrong = [proof.WrongReference(source, tuple(key), column) for source, key, column in state["wrong"]]
    first = state["done"]
    for done, (source, lo, hi) in enumerate(state["parts"][first:], first + 1):
        if done > first + 1 and time.monotonic() - began > PATIENCE:
            return None
        # The target's snapshot first: what legacy commits in between counts as in flight, never as missing.
        with snapshot(sides.target, "target"), snapshot(sides.legacy, "legacy", path=sides.entity.legacy_search_path):
            sides.target.execute("select 1")  # legacy may have to be asked what to look for
            wrong += _count(sides, count, _scope(sides, source, None, Range(lo, hi)))
        lines = [[one.source, list(one.key), one.column] for one in wrong]
        kept = {**state, "done": done, "counted": as_json(count), "wrong": lines}
        with transaction(sides.target, "target"):
            if not store_progress(sides.target, sides.run.run_id, sides.entity.entity, kept):
                return None  # another delivery of this call is ahead: the next one goes on from there
    with transaction(sides.target, "target", read_only=True):
        count.count_native()
    return VerificationResult(count.ok, count.as_json(), count.keys, sides.plan.definition_hash, [], wrong)


def _at_once(sides: Sides) -> VerificationResult:
    entity, record, legacy, target = sides.entity, sides.record, sides.legacy, sides.target
    count = EntityCount(sides.catalog, entity, legacy, target)
    asked: list[AskedRow] = []
    wrong: list[proof.WrongReference] = []
    # The target's snapshot first: what legacy commits in between counts as in flight, never as missing.
    with snapshot(target, "target"), snapshot(legacy, "legacy", path=entity.legacy_search_path):
        if entity.detect == "timestamp" or (record.detection is not None and record.detection.mode == "range"):
            target.execute("select 1")  # legacy has to be asked what to look for
        scopes: list[Scope] = []
        for source in entity.sources:
            keys = _scope_keys(
                sides.plan, record, source, source_changed=_changed(entity, source, record), legacy=legacy
            )
            if keys != []:
                scopes.append(_scope(sides, source, keys, ALL))
        failpoint("verify.snapshots", target, legacy)
        for scope in scopes:
            wrong += _count(sides, count, scope)
            wanted = named_keys(sides.run.request.refs, entity, scope.plan.source)
            asked += look_up(entity, scope, wanted, legacy, target)
        count.count_native()
    return VerificationResult(count.ok, count.as_json(), count.keys, sides.plan.definition_hash, asked, wrong)


def _scope(sides: Sides, source: str, keys: list[Key] | None, part: Range) -> Scope:
    """With its failed records; within the snapshots."""
    entity = sides.entity
    after_fence = changed_after(entity, entity.sources[source], sides.carried, sides.legacy)
    scope = Scope(sides.plan.sources[source], entity.sources[source], table(entity.target), after_fence, keys, part)
    scope.find_failed(sides.target)
    return scope


def _count(sides: Sides, count: EntityCount, scope: Scope) -> list[proof.WrongReference]:
    """Add it; what the run wrote wrong of it, where no reconcile has looked."""
    record, source, run_id = sides.record, scope.plan.source, sides.run.run_id
    if record.reconcile is not None:
        count.add(scope)
        return []
    all_read = record.detection is not None and record.detection.mode == "full"
    if all_read and not proof.has_unproved(sides.target, run_id, sides.plan, [source]):
        count.add(scope)
        return []
    # Where the run has read everything, most rows are its own: all are proved in the pass that counts them, sooner
    # than those alone, and which they are is asked only where that finds something.
    waiting = None if all_read else proof.unproved(run_id, sides.plan, source, sides.target)
    if waiting is not None:
        count.add(scope)
    elif count.add(scope, proof.of_references(sides.catalog, scope.plan)):
        return []
    if all_read:
        waiting = proof.unproved(run_id, sides.plan, source, sides.target)
    return proof.wrong_references(
        run_id, sides.catalog, sides.entity, sides.plan, source, waiting, scope.after_fence, scope.part, sides.legacy,
        sides.target,
    )  # fmt: skip


def _changed(entity: Entity, source: str, record: EntityRecord) -> sql.Composable | None:
    """The condition of a request's date range; None for a run without one."""
    if record.detection is None or record.detection.mode != "range":
        return None
    return changed(entity.sources[source], record.detection)


def _scope_keys(
    plan: EntityPlan,
    record: EntityRecord,
    source: str,
    *,
    source_changed: sql.Composable | None,
    legacy: Connection,
) -> list[Key] | None:
    """The keys that were asked for; None in a run of the whole entity."""
    if record.requested is not None:
        return record.requested.get(source, [])
    if source_changed is not None:
        return rows.keys(legacy, plan.sources[source], source_changed)
    return None

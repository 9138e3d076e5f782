"""What became of each row that a request names: looked up by key on both sides, in the snapshots of a verification."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg import sql

from hybrid_sync.catalog.models import Entity
from hybrid_sync.compare.conservation import still_in_legacy
from hybrid_sync.compare.scope import Scope
from hybrid_sync.contracts import Key, Ref
from hybrid_sync.keys import key_list, one_of, record_among, recorded
from hybrid_sync.postgres import Connection

_TWIN = "duplicate_key"
"""What has no failed record yet was found to share its key by this very verification."""
_FINE = ("current", "in_flight", "excluded", "deleted")


@dataclass(frozen=True)
class Asked:
    """One row by its legacy key; `ok` when it is as it should be, `reason` that of its failed record."""

    source: str
    key: Key
    state: str
    reason: str | None
    ok: bool

    def as_json(self) -> dict[str, object]:
        return {**vars(self), "key": list(self.key)}


def named_keys(refs: Iterable[Ref], entity: Entity, source: str) -> list[Key]:
    """The keys of this source that a request names itself, without the parents that it needs."""
    only = len(entity.sources) == 1
    return [r.key for r in refs if r.entity == entity.entity and (r.source == source or (r.source is None and only))]


def look_up(entity: Entity, scope: Scope, keys: Sequence[Key], legacy: Connection, target: Connection) -> list[Asked]:
    """The state of each key, in their order; conservation must have been counted."""
    if not keys:
        return []
    wanted = list(keys)
    there = still_in_legacy(scope, legacy, wanted)
    excluded = _excluded(scope, wanted, legacy)
    live, known = _in_target(scope, wanted, target)
    stale, absent = set(scope.failed_present), set(scope.failed_absent)
    reasons = _reasons(scope, wanted, target)
    found: list[Asked] = []
    for key in wanted:
        if key not in there:
            state = "kept" if key in live else "deleted" if key in known else "not_found"
        elif key in stale or key in absent:
            state = "stale" if key in stale else "absent"
        elif key in excluded:
            state = "excluded"
        elif key in set(scope.in_flight):
            state = "in_flight"
        else:
            state = "current" if key in live else "missing"
        # Kept by the entity's own policy is as it should be; kept because something stood in the way is not.
        fine = state in _FINE or (state == "kept" and entity.on_delete.policy == "ignore")
        reason = reasons.get(key, _TWIN) if state in ("stale", "absent") else None
        found.append(Asked(scope.plan.source, key, state, reason, fine))
    return found


def _excluded(scope: Scope, keys: list[Key], legacy: Connection) -> set[Key]:
    columns = key_list(scope.plan.key_exprs)
    query = sql.SQL("select {} from {} where {} and {}").format(
        columns, scope.plan.relations, one_of(scope.plan.key_exprs, keys), scope.plan.excluded_sql
    )
    return {tuple(row) for row in legacy.execute(query).fetchall()}


def _in_target(scope: Scope, keys: list[Key], target: Connection) -> tuple[set[Key], set[Key]]:
    """Keys that have a live row, and keys that have or had any: a marked row, or an id that waits for its return."""
    columns = key_list(scope.key_columns)
    rows = sql.SQL("select {} from {} where {}").format(columns, scope.relation, scope.in_target())
    live = {tuple(row) for row in target.execute(rows).fetchall()} & set(keys)
    gone: set[Key] = set()
    for table in ("retired_id", "tombstone"):
        gone |= set(recorded(target, table, scope.plan.entity, scope.plan.source, record_among(keys)))
    return live, gone


def _reasons(scope: Scope, keys: list[Key], target: Connection) -> dict[Key, str]:
    rows = target.execute(
        sql.SQL(
            "select key, reason from hybrid_sync.failed_record"
            " where entity = {} and source = {} and status <> 'resolved' and {}"
        ).format(scope.plan.entity, scope.plan.source, record_among(keys))
    ).fetchall()
    return {tuple(key): str(reason) for key, reason in rows}

"""What became of each row that a request names: looked up by key on both sides, in the snapshots of a verification."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from psycopg import sql

from hybrid_sync.catalog.models import Entity
from hybrid_sync.compare.conservation import ask_legacy
from hybrid_sync.compare.scope import Scope
from hybrid_sync.contracts import Key, Ref
from hybrid_sync.keys import ask_recorded, key_list, one_of, record_among
from hybrid_sync.postgres import Connection, Cursor, Question, together
from hybrid_sync.recorded.asked import AskedRow
from hybrid_sync.session import Trip

_TWIN = "duplicate_key"
"""What has no failed record yet was found to share its key by this very verification."""
_FINE = ("current", "in_flight", "excluded", "deleted")


def named_keys(refs: Iterable[Ref], entity: Entity, source: str) -> list[Key]:
    """The keys of this source that a request names itself, without the parents that it needs."""
    only = len(entity.sources) == 1
    return [r.key for r in refs if r.entity == entity.entity and (r.source == source or (r.source is None and only))]


def look_up(
    entity: Entity, scope: Scope, keys: Sequence[Key], legacy: Connection, target: Connection
) -> list[AskedRow]:
    """The state of each key, in their order; conservation must have been counted."""
    with together(legacy) as ours, together(target) as theirs:
        looked = Looked(scope, keys, ours, theirs)
    return looked.up(entity)


class Looked:
    """What both sides say of these keys, asked among other things; to be used after both trips."""

    def __init__(self, scope: Scope, keys: Sequence[Key], ours: Trip, theirs: Trip) -> None:
        self._scope = scope
        self._wanted = wanted = list(keys)
        if not wanted:
            return
        self._there, self._excluded = ours.ask(ask_legacy(scope, wanted)), ours.ask(_ask_excluded(scope, wanted))
        place, among = (scope.plan.entity, scope.plan.source), record_among(wanted)
        self._live = theirs.ask(_ask_live(scope, wanted))
        self._gone = [theirs.ask(ask_recorded(name, *place, among)) for name in ("retired_id", "tombstone")]
        self._reasons = theirs.ask(_ask_reasons(scope, wanted))

    def up(self, entity: Entity) -> list[AskedRow]:
        """The state of each key, in their order; conservation must have been counted."""
        if not self._wanted:
            return []
        live = self._live.value
        known = {key for answer in self._gone for key in answer.value}
        sides = (self._there.value, self._excluded.value, live, known, self._reasons.value)
        return _states(entity, self._scope, self._wanted, *sides)


def _states(
    entity: Entity, scope: Scope, wanted: Sequence[Key], there: set[Key], excluded: set[Key], live: set[Key],
    known: set[Key], reasons: Mapping[Key, str],
) -> list[AskedRow]:  # fmt: skip
    stale, absent = set(scope.failed_present), set(scope.failed_absent)
    found: list[AskedRow] = []
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
        found.append(
            AskedRow(entity=scope.plan.entity, source=scope.plan.source, key=key, state=state, reason=reason, ok=fine)
        )
    return found


def _ask_excluded(scope: Scope, keys: list[Key]) -> Question[set[Key]]:
    columns = key_list(scope.plan.key_exprs)
    query = sql.SQL("select {} from {} where {} and {}").format(
        columns, scope.plan.relations, one_of(scope.plan.key_exprs, keys), scope.plan.excluded_sql
    )
    return Question(query, None, _keys)


def _ask_live(scope: Scope, keys: list[Key]) -> Question[set[Key]]:
    """Keys that have a live row; one that is marked, or an id that waits for its return, is another matter."""
    columns = key_list(scope.key_columns)
    query = sql.SQL("select {} from {} where {} and {}").format(
        columns, scope.relation, scope.in_target(), one_of(scope.key_columns, keys)
    )
    return Question(query, None, _keys)


def _ask_reasons(scope: Scope, keys: list[Key]) -> Question[dict[Key, str]]:
    return Question(
        sql.SQL(
            "select key, reason from hybrid_sync.failed_record"
            " where entity = {} and source = {} and status <> 'resolved' and {}"
        ).format(scope.plan.entity, scope.plan.source, record_among(keys)),
        None,
        lambda found: {tuple(key): str(reason) for key, reason in found.fetchall()},
    )


def _keys(found: Cursor) -> set[Key]:
    return {tuple(row) for row in found.fetchall()}

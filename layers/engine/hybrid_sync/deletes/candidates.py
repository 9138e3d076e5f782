"""Rows of the target whose legacy rows are gone, or excluded there by a rule: found, listed, and checked again.

What the comparison finds are candidates only.  Each is checked again in legacy under its bucket lock, and only what
both looks say may be deleted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Literal

from psycopg import sql

from hybrid_sync.catalog.compile import ReadPlan, table_of
from hybrid_sync.catalog.models import Source
from hybrid_sync.compare import one_pass
from hybrid_sync.compare.conservation import difference, still_in_legacy
from hybrid_sync.compare.scope import Scope
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.deletes.remove import Outcome
from hybrid_sync.halve import halve
from hybrid_sync.keys import PARAMETER, key_list, one_of, record_among, recorded
from hybrid_sync.legacy.unreadable import ask
from hybrid_sync.postgres import Connection, Question
from hybrid_sync.recorded.checks import IGNORED, Deletes
from hybrid_sync.session import Trip

Why = Literal["gone", "excluded"]


@dataclass(frozen=True)
class Candidates:
    """Keys of one source that seem to have departed."""

    keys: list[Key]
    absent: frozenset[Key]
    """Those of them without a row in the target: only their failed records remain."""

    @property
    def present(self) -> list[Key]:
        return [key for key in self.keys if key not in self.absent]


def candidates(scope: Scope, legacy: Connection, target: Connection, *, compare: bool) -> Candidates:
    """What only the target, or the quarantine, still has; both connections hold snapshots, the target's the older one.

    Without `compare` only the quarantine is looked through: the reconcile passes its keys over.
    """
    scope.find_failed(target)
    failed = [*scope.failed_absent, *scope.failed_present]
    if compare:
        gone = _only_in_target(scope, legacy, target)
    else:
        gone = sorted(set(failed) - still_in_legacy(scope, legacy, failed))
    return Candidates(gone, frozenset(scope.failed_absent).intersection(gone))


def _only_in_target(scope: Scope, legacy: Connection, target: Connection) -> list[Key]:
    """One pass over each side mostly shows that there is nothing."""
    ours = one_pass.over_legacy(scope, (), legacy) if scope.keys is None else None
    if ours is not None:
        scope.in_flight = ours.in_flight
        if one_pass.agree(scope, ours, one_pass.over_target(scope, (), target)):
            return []
    scope.find_in_flight(legacy)
    return difference(scope, legacy, target).gone


def departed(legacy: Connection, plan: ReadPlan, source: Source, keys: Sequence[Key]) -> dict[Key, Why]:
    """Which of the keys legacy really no longer has, or excludes; the caller holds their buckets and a transaction.

    A row that is back, that a join loses or that legacy cannot compute has not departed.
    """
    found: dict[Key, Why] = {}

    def look(some: Sequence[Key]) -> None:
        with legacy.transaction():  # a savepoint: the transaction outlives a row that fails
            found.update(_looked(legacy, plan, source, some))

    halve(keys, look, lambda error, _: ask(legacy, plan, error))
    return found


def _looked(legacy: Connection, plan: ReadPlan, source: Source, keys: Sequence[Key]) -> dict[Key, Why]:
    listed = key_list(plan.key_exprs)
    where = one_of(plan.key_exprs, keys)
    based = legacy.execute(sql.SQL("select {} from {} where {}").format(listed, table_of(source), where)).fetchall()
    selected = legacy.execute(
        sql.SQL("select array[{}], bool_and({}) from {} where {} group by 1").format(
            listed, plan.excluded_sql, plan.relations, where
        )
    ).fetchall()
    outcomes = {tuple(key): excluded for key, excluded in selected}
    # A row that appears between the two statements is in the second alone, and back.
    there = {tuple(row) for row in based} | outcomes.keys()
    found: dict[Key, Why] = {key: "gone" for key in keys if key not in there}
    found.update({key: "excluded" for key, excluded in outcomes.items() if excluded})
    return found


# --- the records ---------------------------------------------------------------------------------------------------


def list_candidates(connection: Connection, run_id: str, entity: str, source: str, keys: Iterable[Key]) -> None:
    """List candidates, as gone until they are looked at again; what is listed already stays."""
    if listed := [(run_id, entity, source, list(key)) for key in keys]:
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into hybrid_sync.delete_candidate (run_id, entity, source, key, why)"
                " values (%s, %s, %s, %s, 'gone') on conflict (run_id, entity, source, key) do nothing",
                listed,
            )


def keep_all(connection: Connection, run_id: str, entity: str) -> None:
    """The policy is to ignore deletes: keep all, but look at those whose failed records can be closed."""
    connection.execute(
        "update hybrid_sync.delete_candidate c set outcome = 'kept', reason = %s, done_at = clock_timestamp()"
        " where run_id = %s and entity = %s and outcome is null and not exists (select from hybrid_sync.failed_record f"
        " where f.entity = c.entity and f.source = c.source and f.key = c.key and f.status <> 'resolved')",
        (IGNORED, run_id, entity),
    )


_NONE = """
update hybrid_sync.run_entity e set deletes = {}
where e.run_id = {run} and e.entity = {entity} and e.deletes is null and {looked}
  and not exists (select from hybrid_sync.failed_record f
                  where f.entity = e.entity and f.status <> 'resolved' and f.key <> '{{}}')
  and not exists (select from hybrid_sync.delete_candidate c where c.run_id = e.run_id and c.entity = e.entity)
  and not exists (select from hybrid_sync.tombstone t where t.entity = e.entity and t.ended_run = e.run_id)
"""


def none_listed(run_id: str, entity: str, looked: sql.Composable) -> Question[bool]:
    """Record that nothing is to be done, where a look at both sides (`looked`, of the run's entity `e`) has found no
    candidate and no failed record could be one."""
    done = json.dumps(Deletes(done=True).as_json())
    query = sql.SQL(_NONE).format(done, run=run_id, entity=entity, looked=looked)
    return Question(query, None, lambda found: found.rowcount == 1)


def listed(run_id: str, entity: str) -> Question[int]:
    """How many candidates there are."""
    return Question(
        "select count(*) from hybrid_sync.delete_candidate where run_id = %s and entity = %s",
        (run_id, entity),
        lambda found: int(found.fetchall()[0][0]),
    )


def page(connection: Connection, run_id: str, entity: str, source: str, size: int) -> list[Key]:
    """The next candidates without an outcome; the highest first, because a child mostly has a higher key."""
    rows = connection.execute(
        "select key from hybrid_sync.delete_candidate where run_id = %s and entity = %s and source = %s"
        " and outcome is null order by key desc limit %s",
        (run_id, entity, source, size),
    ).fetchall()
    return [tuple(row[0]) for row in rows]


def still_open(connection: Connection, run_id: str, entity: str, source: str, keys: Collection[Key]) -> list[Key]:
    """Which of the keys no other delivery has dealt with; asked under their bucket locks."""
    where = sql.SQL("run_id = {} and outcome is null and {}").format(run_id, record_among(keys))
    return recorded(connection, "delete_candidate", entity, source, where)


def settle(
    connection: Connection, run_id: str, entity: str, source: str, outcomes: Iterable[Outcome],
    departed: Mapping[Key, Why],
) -> None:  # fmt: skip
    """What became of candidates, and why they had departed."""
    with connection.cursor() as cursor:
        cursor.executemany(
            sql.SQL(
                "update hybrid_sync.delete_candidate set outcome = %s, reason = %s, constraint_name = %s,"
                " sqlstate = %s, why = coalesce(%s, why), done_at = clock_timestamp()"
                " where run_id = %s and entity = %s and source = %s and key = {}"
            ).format(PARAMETER),
            [
                (
                    o.outcome, o.reason, o.constraint, o.sqlstate, departed.get(o.key), run_id, entity, source,
                    list(o.key),
                )
                for o in outcomes
            ],
        )  # fmt: skip


def reopen(connection: Connection, run_id: str, entity: str, reason: str) -> int:
    """Take up again what was kept for this reason; how many that is."""
    return connection.execute(
        "update hybrid_sync.delete_candidate set outcome = null, reason = null, constraint_name = null, sqlstate = null"
        " where run_id = %s and entity = %s and outcome = 'kept' and reason = %s",
        (run_id, entity, reason),
    ).rowcount


def counts(trip: Trip, run_id: str, entity: str) -> Callable[[], dict[str, object]]:
    """Candidates and their outcomes; `undeleted` are marked rows that this run has brought back.  To be called after
    the trip."""
    outcomes = trip.ask(
        Question(
            "select coalesce(outcome, 'open'), reason, count(*) from hybrid_sync.delete_candidate"
            " where run_id = %s and entity = %s and outcome is distinct from 'absent' group by 1, 2 order by 1, 2",
            (run_id, entity),
            lambda found: found.fetchall(),
        )
    )
    undeleted = trip.ask(
        Question(
            "select count(*) from hybrid_sync.tombstone where ended_run = %s and entity = %s",
            (run_id, entity),
            lambda found: int(found.fetchall()[0][0]),
        )
    )
    return lambda: _counted(outcomes.value, undeleted.value)


def _counted(rows: Iterable[tuple[str, str, int]], undeleted: int) -> dict[str, object]:
    by_outcome: dict[str, int] = {}
    refused: dict[str, int] = {}
    for outcome, reason, count in rows:
        by_outcome[outcome] = by_outcome.get(outcome, 0) + int(count)
        if outcome == "kept":
            refused[reason] = int(count)
    return Deletes.some(
        candidates=sum(by_outcome.values()), deleted=by_outcome.get("deleted", 0), soft=by_outcome.get("marked", 0),
        back=by_outcome.get("back", 0), refused=refused, undeleted=undeleted,
    )  # fmt: skip

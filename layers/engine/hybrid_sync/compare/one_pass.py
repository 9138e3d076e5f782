"""One pass over each side: all that verification counts, where both sides turn out to hold the same keys.

Each side's rows are read once, and everything is computed from what was read: where each row is, the keys of a bucket
as the exact set of them, which references they carry, and money both ways.  Where keys differ or are shared, or a row
cannot be computed, nothing is concluded: the caller examines each of these separately.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
from psycopg import sql

from hybrid_sync.blame import is_row_state
from hybrid_sync.catalog.models import Money
from hybrid_sync.compare import money
from hybrid_sync.compare.canonical import Canonical
from hybrid_sync.compare.checksums import compared_row
from hybrid_sync.compare.references import given
from hybrid_sync.compare.row_states import RowState
from hybrid_sync.compare.scope import Scope
from hybrid_sync.compare.side import AFTER_FENCE, NEVER, HasChanged, Pass, Rows, at
from hybrid_sync.keys import FEW, among, make_room
from hybrid_sync.postgres import Connection, Question

_FALSE, _NONE = sql.SQL("false"), sql.SQL("0")
_SAVEPOINT = sql.SQL("savepoint one_pass")
"""The snapshot outlives a row that fails."""
_LIVE = (RowState.current, RowState.stale, RowState.in_flight)


def over_legacy(
    scope: Scope, columns: Sequence[Money], legacy: Connection, changed: sql.Composable = _FALSE,
    form: Canonical | None = None, newest: sql.Composable | None = None,
) -> Pass | None:  # fmt: skip
    """Pass over legacy in the caller's snapshot; None where a row cannot be computed.

    Rows under the condition `changed` are counted as planning needs them; with a `form` whole rows are compared.
    With `newest` the answer is None as well where one of these rows is `changed`.
    """
    make_room(legacy, max(len(scope.failed_absent), len(scope.failed_present)))
    try:
        return replace(_legacy_rows(scope, columns, changed, form), newest=newest).passed(legacy, _SAVEPOINT)
    except HasChanged:
        return None
    except psycopg.Error as error:
        if not is_row_state(error.sqlstate):
            raise
        legacy.execute("rollback to savepoint one_pass")
        return None


def ask_legacy(scope: Scope, columns: Sequence[Money]) -> Question[Pass]:
    """`over_legacy` of few rows, as a question."""
    return _legacy_rows(scope, columns, _FALSE, None).question()


def _legacy_rows(scope: Scope, columns: Sequence[Money], changed: sql.Composable, form: Canonical | None) -> Rows:
    plan = scope.plan
    place = sql.SQL(
        "case when {} then {} when not ({}) then {} when {} then {} when {} then {} when {} then {} else {} end"
    ).format(
        plan.excluded_sql, at(RowState.excluded), plan.keyed, at(RowState.absent), AFTER_FENCE, at(RowState.in_flight),
        scope.is_among(scope.failed_present), at(RowState.stale),
        scope.is_among(scope.failed_absent), at(RowState.absent), at(RowState.current),
    )  # fmt: skip
    return Rows(
        scope.legacy_keys, plan.keyed, place, scope.after_fence, given(plan),
        [money.in_legacy(column, scope) for column in columns], plan.relations, scope.in_legacy(), changed, plan.octets,
        (RowState.current,), None if form is None else compared_row(plan, form), scope.seeds,
        plan.excluded_sql == _FALSE and not scope.failed_present and not scope.failed_absent,
    )  # fmt: skip


def over_target(scope: Scope, columns: Sequence[Money], target: Connection, form: Canonical | None = None) -> Pass:
    """Pass over the target's rows in the caller's snapshot; legacy's pass has said what is in flight."""
    if (keys := max(len(scope.in_flight), len(scope.failed_present))) > FEW:
        make_room(target, keys)
    return _target_rows(scope, columns, form).passed(target)


def ask_target(scope: Scope, columns: Sequence[Money]) -> Question[Pass]:
    """`over_target` of few rows, as a question."""
    return _target_rows(scope, columns, None).question()


def _target_rows(scope: Scope, columns: Sequence[Money], form: Canonical | None) -> Rows:
    keyed = sql.SQL(" and ").join(sql.SQL("{} is not null").format(column) for column in scope.key_columns)
    place = sql.SQL(
        "case when {} is null then {} when not ({}) then {} when {} then {} when {} then {} when {} then {} else {} end"
    ).format(
        scope.key_columns[0], at("native"), keyed, at("unkeyed"), scope.is_marked("t") if scope.has_marked else _FALSE,
        at("marked"), among(scope.stored_keys, scope.in_flight), at(RowState.in_flight),
        among(scope.stored_keys, scope.failed_present), at(RowState.stale), at(RowState.current),
    )  # fmt: skip
    carries = [sql.SQL("{} is not null").format(sql.Identifier(slot.column)) for slot in scope.plan.references]
    return Rows(
        scope.stored_keys, keyed, place, NEVER, carries, [money.in_target(column, scope, ()) for column in columns],
        sql.SQL("{} t {}").format(scope.relation, sql.SQL("") if form is None else form.joins),
        scope.of_source() if scope.is_whole else scope.rows_in_target(),
        _FALSE, _NONE, _LIVE, None if form is None else form.target_compared(), scope.seeds,
        not scope.has_marked and not scope.in_flight and not scope.failed_present,
    )  # fmt: skip


def over_both(
    scope: Scope, columns: Sequence[Money], legacy: Connection, target: Connection, changed: sql.Composable = _FALSE, *,
    form: Canonical | None,
) -> tuple[Pass, Pass] | None:  # fmt: skip
    """Pass over both sides at the same time; None where a row of legacy cannot be computed.

    What is in flight the target learns afterwards: where anything is, it is asked once more.
    """
    with ThreadPoolExecutor(max_workers=1) as beside:
        asked = beside.submit(over_target, scope, columns, target, form)
        ours = over_legacy(scope, columns, legacy, changed, form)
        theirs = asked.result()
    if ours is None:
        return None
    if ours.in_flight != scope.in_flight:
        scope.in_flight = ours.in_flight
        theirs = over_target(scope, columns, target, form)
    return ours, theirs


def agree(scope: Scope, ours: Pass, theirs: Pass) -> bool:
    """Whether both sides hold the same, each key once, and the quarantine holds those that the target lacks.

    Rows with different keys that are as many as the records wait for are the same, since none is in the target.
    """
    waiting = len(set(scope.failed_absent).difference(scope.in_flight))
    absent = ours.places[RowState.absent] - ours.without_key
    return not ours.shared and ours.keys == theirs.keys and ours.rows == theirs.rows and absent == waiting

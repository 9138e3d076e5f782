"""Conservation: legacy rows = target rows + failed records + excluded rows, by key and not just by number.

Each key bucket is compared as the exact set of its keys, a bitmap of 500 bits, so that two counts which agree by
chance prove nothing; only buckets that differ are listed key by key.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from psycopg import sql

from hybrid_sync.catalog.compile import table_of
from hybrid_sync.contracts import Key
from hybrid_sync.legacy.changes import BUCKET, bucket_of, with_keys
from hybrid_sync.postgres import Connection
from hybrid_sync.verify.scope import Scope
from hybrid_sync.verify.streams import apart, lines


@dataclass
class Conservation:
    """Where the rows of one entity are; `legacy` = migrated + failed_absent + excluded + in_flight + missing."""

    legacy: int = 0
    excluded: int = 0
    failed_absent: int = 0
    failed_present: int = 0
    in_flight: int = 0
    migrated: int = 0
    target: int = 0
    pending_deletes: int = 0
    missing: int = 0
    native: int = 0
    tombstones: int = 0
    """Rows that are marked as deleted, not among `target`."""
    missing_keys: list[Key] = field(default_factory=list)
    """The first of them, for the report."""

    @property
    def ok(self) -> bool:
        """Every legacy row is in the target, in quarantine, excluded by a rule, or on its way."""
        parts = self.migrated + self.failed_absent + self.excluded + self.in_flight + self.missing
        return self.missing == 0 and self.legacy == parts

    def as_json(self) -> dict[str, object]:
        shown = {name: value for name, value in vars(self).items() if name != "missing_keys"}
        return {**shown, "missing_keys": [list(key) for key in self.missing_keys], "ok": self.ok}


@dataclass(frozen=True)
class Difference:
    """Keys of one source that stand on one side only."""

    missing: list[Key]
    gone: list[Key]


_SHOWN = 20


def count(total: Conservation, scope: Scope, legacy: Connection, target: Connection) -> Difference:
    """Add one source to `total`; both connections hold the snapshots of this verification."""
    query = sql.SQL(
        "select count(*), count(*) filter (where {excluded}),"
        " count(*) filter (where {young} and not {excluded}) from {relations} where {scope}"
    ).format(
        excluded=scope.plan.excluded_sql,
        young=scope.young,
        relations=scope.plan.relations,
        scope=scope.in_legacy(),
    )
    row = legacy.execute(query).fetchone()
    assert row is not None
    selected, excluded, in_flight = (int(n) for n in row)
    # Counted on the base table alone: a row that an inner join loses is missing, unless a rule excludes it.
    base = legacy.execute(
        sql.SQL("select count(*) from {} where {}").format(table_of(scope.source), scope.in_legacy())
    ).fetchone()
    assert base is not None
    rows = max(int(base[0]), selected)
    there = target.execute(
        sql.SQL("select count(*) from {} where {}").format(scope.relation, scope.in_target())
    ).fetchone()
    assert there is not None
    apart = difference(scope, legacy, target)
    moving = set(scope.in_flight)
    absent = set(scope.failed_absent) - moving
    gone_failed = absent & set(apart.gone)
    total.legacy += rows
    total.excluded += excluded
    total.in_flight += in_flight
    total.failed_absent += len(absent - gone_failed)
    total.failed_present += len(set(scope.failed_present) - moving)
    total.target += int(there[0])
    total.tombstones += _tombstones(scope, target)
    total.pending_deletes += len(apart.gone) - len(gone_failed)
    total.missing += len(apart.missing) + rows - selected
    total.missing_keys = (total.missing_keys + apart.missing)[:_SHOWN]
    settled = selected - excluded - in_flight
    total.migrated += settled - len(absent - gone_failed) - len(apart.missing)
    return apart


def _tombstones(scope: Scope, target: Connection) -> int:
    if not scope.has_marked:
        return 0
    row = target.execute(
        sql.SQL("select count(*) from {} where {}").format(scope.relation, scope.marked_in_target())
    ).fetchone()
    return int(row[0]) if row else 0


def difference(scope: Scope, legacy: Connection, target: Connection) -> Difference:
    """Keys that only legacy has (missing), and keys that only the target or the quarantine has (gone)."""
    if len(scope.plan.key_exprs) > 1 or scope.keys is not None:
        return _compared(scope, legacy, target, None)
    ours: dict[int, str] = dict(legacy.execute(_legacy_bitmaps(scope)).fetchall())
    theirs: dict[int, str] = dict(target.execute(_target_bitmaps(scope)).fetchall())
    differing = sorted(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n))
    missing: list[Key] = []
    gone: list[Key] = []
    for n in differing:
        part = _compared(scope, legacy, target, n)
        missing += part.missing
        gone += part.gone
    return Difference(missing, gone)


def _compared(scope: Scope, legacy: Connection, target: Connection, bucket: int | None) -> Difference:
    parts = len(scope.key_columns)
    with (
        lines(legacy, _legacy_keys(scope, bucket), parts) as ours,
        lines(target, _target_keys(scope, bucket), parts) as theirs,
    ):
        found = Difference([], [])
        for key, where in apart(ours, theirs):
            (found.missing if where == "ours" else found.gone).append(key)
        return found


def _bitmap(key: sql.Composable, bucket: sql.Composable) -> sql.Composed:
    return sql.SQL(
        "md5(bit_or(set_bit(repeat('0', {size})::bit({size}), ({key} - {bucket} * {size})::int, 1))::text)"
    ).format(size=sql.Literal(BUCKET), key=key, bucket=bucket)


def _settled(scope: Scope) -> sql.Composed:
    return sql.SQL("{} and not {} and not {}").format(scope.in_legacy(), scope.plan.excluded_sql, scope.young)


def _legacy_bitmaps(scope: Scope) -> sql.Composed:
    key = sql.SQL("{}::int8").format(scope.plan.key_exprs[0])
    return sql.SQL("select n, {} from (select {} as k, {} as n from {} where {}) s group by n").format(
        _bitmap(sql.SQL("k"), sql.SQL("n")), key, bucket_of(key), scope.plan.relations, _settled(scope)
    )


def _target_side(scope: Scope) -> sql.Composed:
    """Keys that are in the target or in quarantine without a target row, but not in flight."""
    columns = sql.SQL(", ").join(sql.SQL("{}::int8").format(c) for c in scope.key_columns)
    failed = [key for key in scope.failed_absent if key not in set(scope.in_flight)]
    rows = sql.SQL("select {} from {} where {} and {}").format(
        columns, scope.relation, scope.in_target(), scope.without(scope.in_flight)
    )
    arrays = sql.SQL(", ").join(
        sql.SQL("{}::int8[]").format(sql.Literal([key[i] for key in failed])) for i in range(len(scope.key_columns))
    )
    return sql.SQL("{} union select * from unnest({})").format(rows, arrays)


def _target_bitmaps(scope: Scope) -> sql.Composed:
    return sql.SQL("select n, {} from (select k, {} as n from ({}) as u(k)) s group by n").format(
        _bitmap(sql.SQL("k"), sql.SQL("n")), bucket_of(sql.SQL("k")), _target_side(scope)
    )


def _legacy_keys(scope: Scope, bucket: int | None) -> sql.Composed:
    columns = sql.SQL(", ").join(sql.SQL("{}::int8").format(e) for e in scope.plan.key_exprs)
    where = _settled(scope)
    if bucket is not None:
        first = scope.plan.key_exprs[0]
        where = sql.SQL("{} and {} >= {} and {} < {}").format(
            where, first, sql.Literal(bucket * BUCKET), first, sql.Literal((bucket + 1) * BUCKET)
        )
    return sql.SQL("select distinct {} from {} where {}").format(columns, scope.plan.relations, where)


def _target_keys(scope: Scope, bucket: int | None) -> sql.Composed:
    names = [sql.Identifier(f"k{i}") for i in range(len(scope.key_columns))]
    where: sql.Composable = sql.SQL("true")
    if bucket is not None:
        where = sql.SQL("k0 >= {} and k0 < {}").format(sql.Literal(bucket * BUCKET), sql.Literal((bucket + 1) * BUCKET))
    return sql.SQL("select * from ({}) as u({}) where {}").format(_target_side(scope), sql.SQL(", ").join(names), where)


def still_in_legacy(scope: Scope, legacy: Connection, keys: list[Key]) -> set[Key]:
    """Which of the keys legacy still has, whatever its rules say; the others are gone."""
    if not keys:
        return set()
    columns = sql.SQL(", ").join(sql.SQL("{}::int8").format(e) for e in scope.plan.key_exprs)
    query = sql.SQL("select {} from {} where {}").format(
        columns, scope.plan.relations, with_keys(scope.plan.key_exprs, keys)
    )
    return {tuple(row) for row in legacy.execute(query).fetchall()}

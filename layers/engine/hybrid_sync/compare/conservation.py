"""Conservation: legacy = current + stale + absent + excluded + in flight + missing, by key and not just by number.

Each key bucket is compared as the exact set of its keys, a bitmap of 500 bits, so that two counts which agree by
chance prove nothing; only buckets that differ are listed key by key.  The same pass shows where rows share a key:
there are then more rows than bits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from psycopg import sql

from hybrid_sync.catalog.compile import table_of
from hybrid_sync.compare.checksums import within
from hybrid_sync.compare.row_states import RowState
from hybrid_sync.compare.scope import Scope
from hybrid_sync.compare.streams import Line, differing_lines, lines
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import BUCKET, bucket_number, bucket_of, key_table, make_room, offset_in_bucket, one_of
from hybrid_sync.postgres import Connection, Question, answer, inside
from hybrid_sync.recorded.conservation import Conservation


@dataclass(frozen=True)
class Difference:
    """Keys of one source that stand on one side only, and those that several rows of legacy share."""

    missing: list[Key]
    gone: list[Key]
    doubled: dict[Key, int]
    """key -> rows."""


@dataclass(frozen=True)
class Counted:
    """What verification found in one source that must be, or stay, a failed record; and what the target alone has."""

    gone: list[Key]
    doubled: dict[Key, int]
    null_keys: int


_SHOWN = 20
_BUCKETS_AT_ONCE = 40


def count(total: Conservation, scope: Scope, legacy: Connection, target: Connection) -> Counted:
    """Add one source to `total`; both connections hold the snapshots of this verification."""
    for connection in (legacy, target):
        make_room(connection, _largest(scope))
    found = difference(scope, legacy, target)
    # Rows that share a key: neither may stand for it, whatever the target holds under it.
    scope.fail(found.doubled, target)
    scope.missing = [key for key in found.missing if key not in found.doubled]
    make_room(legacy, max(_largest(scope), len(scope.missing)))
    make_room(target, max(_largest(scope), len(found.gone)))
    places, null_keys = _places(scope, legacy)
    lost = lost_in_joins(scope, legacy, sum(places.values()), doubled=bool(found.doubled))
    _enter(total, scope, places, null_keys, lost, _stored(scope, target), found)
    return Counted(found.gone, found.doubled, null_keys)


def agreed(
    total: Conservation, scope: Scope, places: Mapping[str, int], null_keys: int, stored: tuple[int, int], lost: int
) -> None:  # fmt: skip
    """Add the source to the total, by a pass that found equal keys on both sides; `stored`: live and marked rows."""
    _enter(total, scope, places, null_keys, lost, stored, Difference([], [], {}))


def _enter(
    total: Conservation, scope: Scope, places: Mapping[str, int], null_keys: int, lost: int, stored: tuple[int, int],
    found: Difference,
) -> None:  # fmt: skip
    total.legacy += sum(places.values()) + lost
    total.missing += lost
    for place in ("current", "stale", "absent", "excluded", "in_flight", "missing"):
        setattr(total, place, getattr(total, place) + places[place])
    total.target += stored[0]
    total.tombstones += stored[1]
    gone = sorted(set(found.gone).difference(scope.failed_absent))
    total.pending_deletes += len(gone)
    total.gone_keys = (*total.gone_keys, *gone)[:_SHOWN]
    total.null_keys += null_keys
    total.doubled += sum(found.doubled.values())
    total.missing_keys = (*total.missing_keys, *scope.missing)[:_SHOWN]
    failed = sorted({*scope.failed_absent, *scope.failed_present}.difference(scope.in_flight, found.gone))
    total.failed_keys = (*total.failed_keys, *failed)[:_SHOWN]


def _largest(scope: Scope) -> int:
    """Keys in the largest set that statements of this verification carry."""
    return max(len(scope.in_flight), len(scope.failed_absent), len(scope.failed_present))


def _places(scope: Scope, legacy: Connection) -> tuple[Counter[str], int]:
    """Rows of legacy by place; and, of the absent ones, how many have no complete key."""
    rows = legacy.execute(
        sql.SQL(
            "select p, count(*), count(*) filter (where not keyed) from"
            " (select {} as p, {} as keyed from {} where {} offset 0) r group by p"
        ).format(scope.place_in_legacy(), scope.plan.keyed, scope.plan.relations, scope.in_legacy())
    ).fetchall()
    without = sum(int(n) for place, _, n in rows if place == RowState.absent)
    return Counter({str(place): int(n) for place, n, _ in rows}), without


def ask_base(scope: Scope) -> Question[int] | None:
    """How many rows its base table has, of which an inner join may lose some; None where no join can."""
    if all(join.kind == "left join" for join in scope.source.joins):
        return None
    query = sql.SQL("select count(*) from {} where {}").format(table_of(scope.source), scope.in_legacy())
    return Question(query, None, lambda found: int(found.fetchall()[0][0]))


def erased(scope: Scope, legacy: Connection) -> int:
    """Legacy's rows of people who were erased."""
    if scope.plan.erased_sql is None:
        return 0
    with inside(legacy, "legacy", path=scope.plan.path):
        query = sql.SQL("select count(*) from {} where {} and {}").format(
            scope.plan.relations, scope.in_legacy(), scope.plan.erased_sql
        )
        return answer(legacy, Question(query, None, lambda found: int(found.fetchall()[0][0])))


def lost_in_joins(scope: Scope, legacy: Connection, selected: int, *, doubled: bool) -> int:
    """Base rows that an inner join loses: missing, unless a rule excludes them, which nobody can ask them."""
    asked = ask_base(scope)
    if asked is None or (answer(legacy, asked) == selected and not doubled):
        return 0
    names = [sql.Identifier(f"k{i}") for i in range(len(scope.key_columns))]
    listed = sql.SQL(", ").join(scope.legacy_keys)
    lost = legacy.execute(
        sql.SQL(
            "select count(*) from (select {listed} from {base} where {scope} and {keyed}) b({names}) where not exists"
            " (select from (select {listed} from {relations} where {scope}) s({names}) where {same})"
        ).format(
            listed=listed,
            base=table_of(scope.source),
            scope=scope.in_legacy(),
            keyed=scope.plan.keyed,
            relations=scope.plan.relations,
            names=sql.SQL(", ").join(names),
            same=sql.SQL(" and ").join(sql.SQL("s.{n} = b.{n}").format(n=name) for name in names),
        )
    ).fetchone()
    assert lost is not None, "an aggregate is one row"
    return int(lost[0])


def _stored(scope: Scope, target: Connection) -> tuple[int, int]:
    """Live rows of the target, and those that are marked as deleted."""
    marked = scope.is_marked() if scope.has_marked else sql.SQL("false")
    row = target.execute(
        sql.SQL("select count(*) filter (where not {m}), count(*) filter (where {m}) from {t} where {w}").format(
            m=marked, t=scope.relation, w=scope.rows_in_target()
        )
    ).fetchone()
    assert row is not None, "an aggregate is one row"
    return int(row[0]), int(row[1])


def difference(scope: Scope, legacy: Connection, target: Connection) -> Difference:
    """Keys that only legacy has (missing), those that only the target or the quarantine has (gone), and shared ones."""
    if len(scope.plan.key_exprs) > 1 or scope.keys is not None:
        return _compared(scope, legacy, target, None)
    ours = _legacy_bitmaps(scope, legacy)
    theirs: dict[int, str] = dict(target.execute(_target_bitmaps(scope)).fetchall())
    differing = sorted(n for n in ours.keys() | theirs.keys() if n not in ours or ours[n].digest != theirs.get(n))
    crowded = sorted(n for n, bucket in ours.items() if bucket.rows != bucket.keys)
    found = Difference([], [], _doubled(scope, legacy, crowded))
    for start in range(0, len(differing), _BUCKETS_AT_ONCE):
        part = _compared(scope, legacy, target, differing[start : start + _BUCKETS_AT_ONCE])
        found.missing.extend(part.missing)
        found.gone.extend(part.gone)
    return found


def _doubled(scope: Scope, legacy: Connection, buckets: list[int]) -> dict[Key, int]:
    """The keys of these buckets that several settled rows of legacy share."""
    found: dict[Key, int] = {}
    keys = sql.SQL(", ").join(scope.legacy_keys)
    for start in range(0, len(buckets), _BUCKETS_AT_ONCE):
        some = within(scope.plan.key_exprs[0], buckets[start : start + _BUCKETS_AT_ONCE])
        query = sql.SQL("select array[{}], count(*) from {} where {} and {} group by 1 having count(*) > 1").format(
            keys, scope.plan.relations, scope.settled(), some
        )
        found.update({tuple(key): int(rows) for key, rows in legacy.execute(query).fetchall()})
    return found


def _compared(scope: Scope, legacy: Connection, target: Connection, buckets: list[int] | None) -> Difference:
    parts = len(scope.key_columns)
    found = Difference([], [], {})
    with (
        lines(legacy, _legacy_keys(scope, buckets), parts) as ours,
        lines(target, _target_keys(scope, buckets), parts) as theirs,
    ):
        for key, where in differing_lines(_once(ours, found.doubled), theirs):
            (found.missing if where == "ours" else found.gone).append(key)
    return found


def _once(keys: Iterator[Line], doubled: dict[Key, int]) -> Iterator[Line]:
    """Each key once; how many rows have it, where it is more than one."""
    last: Key | None = None
    for line in keys:
        if line[0] == last:
            doubled[last] = doubled.get(last, 1) + 1
        else:
            yield line
        last = line[0]


@dataclass(frozen=True)
class _Bucket:
    """The settled rows of one bucket: how many, how many keys, and a digest of their bitmap."""

    rows: int
    keys: int
    digest: str


def _bitmap(key: sql.Composable) -> sql.Composed:
    """The keys of a bucket as 500 bits, in text."""
    return sql.SQL("bit_or(set_bit(repeat('0', {size})::bit({size}), {place}, 1))::text").format(
        size=sql.Literal(BUCKET), place=offset_in_bucket(key)
    )


def _legacy_bitmaps(scope: Scope, legacy: Connection) -> dict[int, _Bucket]:
    # The text's ones are counted: legacy may be older than PostgreSQL 14, which brought bit_count.
    query = sql.SQL(
        "select n, r, length(replace(b, '0', '')), md5(b) from (select n, count(*) as r, {} as b from"
        " (select k, {} as n from (select {} as k from {} where {} offset 0) s offset 0) t group by n) u"
    ).format(
        _bitmap(sql.SQL("k")), bucket_of(sql.SQL("k")), scope.legacy_keys[0], scope.plan.relations, scope.settled()
    )
    return {int(n): _Bucket(int(rows), int(keys), digest) for n, rows, keys, digest in legacy.execute(query)}


def _target_side(scope: Scope, buckets: list[int] | None = None) -> sql.Composed:
    """Keys that are in the target or in quarantine without a target row, but not in flight; of these buckets alone."""
    wanted = None if buckets is None else set(buckets)
    moving, failed = (
        [key for key in keys if wanted is None or bucket_number(key) in wanted]
        for keys in (scope.in_flight, scope.failed_absent)
    )
    where = sql.SQL("true") if buckets is None else within(scope.stored_keys[0], buckets)
    rows = sql.SQL("select {} from {} where {} and {} and {}").format(
        sql.SQL(", ").join(scope.stored_keys), scope.relation, scope.in_target(), scope.without(moving), where
    )
    left = sorted(set(failed).difference(moving))
    return sql.SQL("{} union {}").format(rows, key_table(left, len(scope.key_columns)))


def _target_bitmaps(scope: Scope) -> sql.Composed:
    return sql.SQL("select n, md5({}) from (select k, {} as n from ({}) as u(k)) s group by n").format(
        _bitmap(sql.SQL("k")), bucket_of(sql.SQL("k")), _target_side(scope)
    )


def _legacy_keys(scope: Scope, buckets: list[int] | None) -> sql.Composed:
    where = scope.settled()
    if buckets is not None:
        where = sql.SQL("{} and {}").format(where, within(scope.plan.key_exprs[0], buckets))
    return sql.SQL("select {} from {} where {}").format(
        sql.SQL(", ").join(scope.legacy_keys), scope.plan.relations, where
    )


def _target_keys(scope: Scope, buckets: list[int] | None) -> sql.Composed:
    names = [sql.Identifier(f"k{i}") for i in range(len(scope.key_columns))]
    return sql.SQL("select * from ({}) as u({})").format(_target_side(scope, buckets), sql.SQL(", ").join(names))


def still_in_legacy(scope: Scope, legacy: Connection, keys: list[Key]) -> set[Key]:
    """Which of the keys legacy still has, whatever its rules say; the others are gone."""
    return answer(legacy, ask_legacy(scope, keys)) if keys else set()


def ask_legacy(scope: Scope, keys: list[Key]) -> Question[set[Key]]:
    """As `still_in_legacy`, to be asked together with other questions."""
    query = sql.SQL("select {} from {} where {}").format(
        sql.SQL(", ").join(scope.legacy_keys), scope.plan.relations, one_of(scope.plan.key_exprs, keys)
    )
    return Question(query, None, lambda found: {tuple(row) for row in found.fetchall()})

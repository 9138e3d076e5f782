"""Which legacy rows changed: the condition, and the scan that counts them by key bucket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from psycopg import sql

from hybrid_sync.catalog.columns import raw, spliced
from hybrid_sync.catalog.compile import ReadPlan, keyed, relations
from hybrid_sync.catalog.models import Entity, Source
from hybrid_sync.catalog.place import table
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import MissingPrivilege
from hybrid_sync.keys import BUCKET, between, bucket_of, key_literal
from hybrid_sync.legacy.fence import Doubt, Fence
from hybrid_sync.postgres import Question

Mode = Literal["fence", "full", "timestamp", "range", "keys", "none"]


@dataclass(frozen=True)
class Detection:
    """How a run finds an entity's changed rows, and why it does it that way."""

    mode: Mode
    reason: str = ""
    fence: Fence | None = None
    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def recorded(cls, mode: Mode, reason: str | None, at_start: Mapping[str, Any] | None) -> Detection:
        """As the run's store keeps it."""
        kept = at_start or {}
        fence = Fence.model_validate(kept["fence"]) if kept.get("fence") else None
        since, until = (datetime.fromisoformat(t) if (t := kept.get(k)) else None for k in ("since", "until"))
        return cls(mode, reason or "", fence, since, until)


def changed(source: Source, detection: Detection) -> sql.Composable:
    """The condition on one row of the source's relations; TRUE when everything is read, FALSE when nothing is."""
    if detection.mode == "none":
        return sql.SQL("false")
    if detection.mode in ("full", "keys"):
        return sql.SQL("true")
    if detection.mode == "fence":
        assert detection.fence is not None
        return _touched(source, detection.fence)
    moment = raw(source.changed_at or "null::timestamptz")
    parts: list[sql.Composable] = []
    if detection.since is not None:
        parts.append(sql.SQL("({}) >= {}").format(moment, sql.Literal(detection.since)))
    if detection.until is not None:
        parts.append(sql.SQL("({}) <= {}").format(moment, sql.Literal(detection.until)))
    inside = sql.SQL(" and ").join(parts) if parts else sql.SQL("true")
    if detection.mode == "range":
        return sql.SQL("({})").format(inside)
    # A row without a time, or with one in the future, is read every time: never skipped.
    return sql.SQL("(({moment}) is null or ({moment}) > now() or ({inside}))").format(moment=moment, inside=inside)


def since(stored: Fence, entity: Entity) -> datetime | None:
    """The moment from which timestamps are read again; None where the catalog states no lag and none was proved."""
    if stored.settled_until is not None:
        return datetime.fromisoformat(stored.settled_until)
    if entity.lag_seconds is not None:
        return datetime.fromisoformat(stored.taken_at) - timedelta(seconds=entity.lag_seconds)
    return None


_DOUBTS: dict[Doubt, tuple[str, str]] = {
    "grant": (
        "the legacy role may not see when the writers of others began",
        "Grant it: grant pg_read_all_stats to that role",
    ),
    "untold": (
        "some session of legacy has track_activities off, so nothing shows when it began to write",
        "Switch track_activities on",
    ),
    "prepared": (
        "legacy holds a prepared transaction, and nothing shows when it began",
        "Commit or roll back what pg_prepared_xacts shows",
    ),
    "replica": ("legacy is a read replica, which does not know the primary's writers", "Point the DSN at the primary"),
}


def require_bound(now: Fence, entity: Entity) -> None:
    """Refuse to read by timestamp where it is not known from which moment the next run has to read."""
    if since(now, entity) is None and now.doubt is not None:
        why, remedy = _DOUBTS[now.doubt]
        raise MissingPrivilege(
            f"Entity {entity.entity} is read by timestamp, and {why}.",
            f"{remedy}, or state in the catalog for how long a writer may take, as `lag_seconds`.",
        )


def later(source: Source, entity: Entity, fence: Fence, *, stamped: bool) -> sql.Composable:
    """The condition that legacy changed a row after the fence; `stamped` where only its timestamp shows it.

    A row without a timestamp never counts as changed later: it is read in every run, so it is compared in every run.
    """
    if not stamped:
        return _touched(source, fence)
    moment = since(fence, entity) or datetime.fromisoformat(fence.taken_at)
    return sql.SQL("coalesce(({}) >= {}, false)").format(raw(source.changed_at or "null"), sql.Literal(moment))


def _touched(source: Source, fence: Fence) -> sql.Composable:
    """Any version younger than the fence, in the base table, a joined one or a watched one.

    Each table is asked on its own: the lower bound 0 drops ids older than 2^31 transactions, whose age is negative,
    and must not drop the row for a neighbour's sake.
    """
    after_fence = [_after_fence(alias, fence) for alias in source.aliases]
    for watch in source.watch:
        place, alias = table(watch.table), sql.Identifier(watch.alias)
        neighbour = sql.SQL("exists (select from {} as {} where ({}) and {})")
        after_fence.append(neighbour.format(place, alias, raw(watch.on), _after_fence(watch.alias, fence)))
    # A left join without a partner has no xmin: that is "not after the fence", and must not make the whole unknown.
    return sql.SQL("coalesce({}, false)").format(sql.SQL(" or ").join(after_fence))


def _after_fence(alias: str, fence: Fence) -> sql.Composed:
    # `between 0 and age(fence)`: age() counts back from the next transaction id, so younger means smaller.
    return sql.SQL("age({}.xmin) between 0 and age({}::xid)").format(sql.Identifier(alias), sql.Literal(fence.xid))


def first_key(source: Source) -> sql.Composed:
    """The expression that orders a source's batches."""
    return spliced(next(iter(source.key.values())))


def in_range(source: Source, lo: int, hi: int) -> sql.Composable:
    """Bucket numbers lo (included) to hi (excluded), as a condition that a key index serves."""
    return between(first_key(source), lo * BUCKET, hi * BUCKET)


def in_buckets(source: Source, runs: Sequence[tuple[int, int]]) -> sql.Composed:
    """Keys in the listed buckets only."""
    numbers = [n for first, last in runs for n in range(first, last + 1)]
    return sql.SQL("{} = any({})").format(bucket_of(first_key(source)), key_literal(numbers))


def keys_under(plan: ReadPlan, condition: sql.Composable) -> sql.Composed:
    """Every row of the SELECT whose key some row under `condition` has."""
    keys = sql.SQL(", ").join(plan.key_exprs)
    return sql.SQL("({}) in (select {} from {} where {})").format(keys, keys, plan.relations, condition)


class Bucket(NamedTuple):
    """What of a bucket has changed."""

    n: int
    rows: int
    octets: int = 0
    """About how many bytes these rows take."""


def count_by_bucket(source: Source, condition: sql.Composable, octets: sql.Composable) -> Question[list[Bucket]]:
    """Changed rows with a complete key by bucket, in bucket order; `octets` is a row's size.

    One statement, because `age()` fixes its “now” per transaction.  OFFSET 0: of an expression over the key the planner
    expects as many groups as there are keys, and would sort all rows, on disk where they are many.
    """
    query = sql.SQL(
        "select n, count(*), sum(o)::bigint from (select {} as n, {} as o from {} where {} and {} offset 0) s"
        " group by 1 order by 1"
    ).format(
        bucket_of(first_key(source)), octets, relations(source), keyed([raw(e) for e in source.key.values()]), condition
    )
    return Question(query, None, lambda found: [Bucket(*row) for row in found.fetchall()])

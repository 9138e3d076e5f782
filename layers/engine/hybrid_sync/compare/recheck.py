"""A handful of keys that differed, looked at again under fresh snapshots, down to the columns that differ.

What has come right meanwhile drops out here, so that only differences which persist are reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from psycopg import sql

from hybrid_sync.catalog.compile import table_of
from hybrid_sync.compare.checksums import Sides
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.halve import halve
from hybrid_sync.keys import key_columns, one_of, record_among, recorded
from hybrid_sync.legacy.unreadable import ask

Kind = Literal["changed", "missing", "unrecorded", "unjoined"]


@dataclass(frozen=True)
class Difference:
    """One key that differs; `columns` are names, empty where a whole row stands on one side only.

    `missing`: legacy has the row, the target does not.  `unrecorded`: it should be a failed record and is none.
    `unjoined`: it is in its legacy table, but a join of the catalog loses it.
    """

    key: Key
    kind: Kind
    columns: tuple[str, ...] = ()
    recent: bool = False
    """Legacy changed the row after the fence that the entity had before this run."""
    xmin: str | None = None
    """The transaction that wrote the target's row."""


@dataclass(frozen=True)
class Departure:
    """A key of the target that legacy no longer has, or excludes by a rule."""

    key: Key
    why: Literal["gone", "excluded"]


@dataclass(frozen=True)
class Moving:
    """A key that legacy has changed since: the next run carries it."""

    key: Key


Finding = Difference | Departure | Moving


@dataclass(frozen=True)
class _Legacy:
    after_fence: bool
    recent: bool
    outcome: Literal["exclude", "fail"] | None
    digests: list[str] | None


@dataclass(frozen=True)
class _Target:
    xmin: str
    digests: list[str]


def recheck(sides: Sides, keys: Sequence[Key], recent: sql.Composable) -> Iterator[Finding]:
    """What there is to say about each key; nothing about those that are equal, quarantined or gone on both sides.

    `recent` is the condition that legacy changed a row after the entity's fence before this run.
    """
    theirs = _in_target(sides, keys)
    failed = _failed(sides, keys)
    ours = _in_legacy(sides, list(keys), recent)
    based = _in_base_table(sides, [key for key in keys if key not in ours])
    for key in keys:
        if key in failed:
            continue
        mine, stored = ours.get(key), theirs.get(key)
        if mine is not None and mine.after_fence:
            yield Moving(key)
        elif mine is None:
            if key in based:
                yield Difference(key, "unjoined", xmin=stored.xmin if stored else None)
            elif stored is not None:
                yield Departure(key, "gone")
        elif mine.outcome == "exclude":
            if stored is not None:
                yield Departure(key, "excluded")
        elif mine.digests is None:
            yield Difference(key, "unrecorded", recent=mine.recent, xmin=stored.xmin if stored else None)
        elif stored is None:
            yield Difference(key, "missing", recent=mine.recent)
        elif mine.digests != stored.digests:
            pairs = zip(sides.form.names, mine.digests, stored.digests, strict=True)
            columns = tuple(name for name, left, right in pairs if left != right)
            yield Difference(key, "changed", columns, mine.recent, stored.xmin)


def _in_target(sides: Sides, keys: Sequence[Key]) -> dict[Key, _Target]:
    columns = key_columns(sides.plan.key_columns)
    query = sql.SQL("select array[{}], t.hybrid_sync_xmin::text, {} from {}").format(
        sql.SQL(", ").join(sides.form.target_key), sides.form.target_columns(),
        sides.target_rows(one_of(columns, list(keys))),
    )  # fmt: skip
    return {tuple(key): _Target(xmin, digests) for key, xmin, digests in sides.target.execute(query).fetchall()}


def _failed(sides: Sides, keys: Sequence[Key]) -> set[Key]:
    where = sql.SQL("status <> 'resolved' and {}").format(record_among(keys))
    return set(recorded(sides.target, "failed_record", sides.plan.entity, sides.plan.source, where))


def _in_legacy(sides: Sides, keys: list[Key], recent: sql.Composable) -> dict[Key, _Legacy]:
    """The rows as legacy computes them now, and without digests the ones that it cannot compute."""
    found: dict[Key, _Legacy] = {}

    def compute(some: Sequence[Key]) -> None:
        with sides.legacy.transaction():  # a savepoint: the snapshot outlives a row that fails
            found.update(_computed(sides, some, recent, sides.form.legacy_columns()))

    for refusal in halve(keys, compute, lambda error, _: ask(sides.legacy, sides.plan, error)):
        found |= _computed(sides, [refusal.item], recent, sql.SQL("null::text[]"))
    return found


def _computed(sides: Sides, keys: Sequence[Key], recent: sql.Composable, digests: sql.Composable) -> dict[Key, _Legacy]:
    query = sql.SQL(
        "select array[{}], {}, {}, {}, case when ({}) is null then {} end from {} where {}"
    ).format(
        sql.SQL(", ").join(sides.form.legacy_key), sides.after_fence, recent, sides.plan.verdict_sql,
        sides.plan.verdict_sql, digests, sides.plan.relations, one_of(sides.plan.key_exprs, keys),
    )  # fmt: skip
    found: dict[Key, _Legacy] = {}
    for key, after_fence, seen, verdict, computed in sides.legacy.execute(query).fetchall():
        outcome = None if verdict is None else sides.plan.verdicts[verdict].outcome
        before = found.get(tuple(key))
        if before is None or before.outcome == "exclude":
            found[tuple(key)] = _Legacy(after_fence, seen, outcome, computed)
        elif outcome != "exclude":
            # Two rows of one key that no rule leaves out: neither may stand for it.
            found[tuple(key)] = _Legacy(after_fence or before.after_fence, seen or before.recent, outcome, None)
    return found


def _in_base_table(sides: Sides, keys: Sequence[Key]) -> set[Key]:
    if not keys:
        return set()
    query = sql.SQL("select array[{}] from {} where {}").format(
        sql.SQL(", ").join(sides.form.legacy_key), table_of(sides.source), one_of(sides.plan.key_exprs, keys)
    )
    return {tuple(row[0]) for row in sides.legacy.execute(query).fetchall()}

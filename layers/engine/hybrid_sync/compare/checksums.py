"""Checksums by key bucket, the same over both servers' rows; only what differs is asked again, key by key.

A bucket's checksum is the number of its rows and the sums over them.  Bytes on the wire: one line per 500 keys, and one
per key only where a bucket differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field

import psycopg
from psycopg import sql

from hybrid_sync.blame import is_row_state
from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.models import Source
from hybrid_sync.compare import digests
from hybrid_sync.compare.canonical import Canonical
from hybrid_sync.compare.parts import Range
from hybrid_sync.compare.streams import differing_lines, lines
from hybrid_sync.compare.unreadable import unreadable_keys
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import (
    BUCKET,
    belongs_to,
    bucket_of,
    first_of_record,
    key_columns,
    key_parts,
    none_of,
    one_of,
    record_key,
    recorded,
)
from hybrid_sync.legacy.unreadable import ask
from hybrid_sync.postgres import Connection, Question, answer, together
from hybrid_sync.write.tombstones import is_any_marked

_BUCKETS_AT_ONCE = 40
"""Differing buckets whose keys are listed together, in one statement on each side."""

Checksums = dict[int, tuple[int, str]]
"""bucket -> (rows, checksum)."""


@dataclass
class Sides:
    """One source's rows of one key range, as both servers see them in the snapshots that the caller holds."""

    plan: ReadPlan
    source: Source
    relation: sql.Identifier
    form: Canonical
    after_fence: sql.Composable
    """Legacy rows that changed after what was carried over: in flight, so left out on both sides."""
    range: Range
    legacy: Connection
    target: Connection
    failed: list[Key] = field(default_factory=list)
    in_flight: list[Key] = field(default_factory=list)
    unreadable: list[Key] = field(default_factory=list)
    seeds: digests.Seeds = field(default_factory=digests.draw)

    # --- what is left out ----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Find the keys that cannot be compared: the target is asked first, so that its snapshot is the older one."""
        where = sql.SQL("status <> 'resolved' and key <> '{{}}' and {}").format(self.range.of(first_of_record()))
        self.failed = recorded(self.target, "failed_record", self.plan.entity, self.plan.source, where)
        self.in_flight = _keys(
            self.legacy,
            sql.SQL("select distinct array[{}] from {} where {} and {}").format(
                sql.SQL(", ").join(self.form.legacy_key), self.plan.relations, self._in_range(), self.after_fence
            ),
        )

    def _in_range(self) -> sql.Composable:
        """Rows without a complete key are counted as such, so nothing compares them."""
        return sql.SQL("{} and {}").format(self.range.of(self.plan.key_exprs[0]), self.plan.keyed)

    def _settled(self) -> sql.Composed:
        return sql.SQL("{} and {} and not {} and {}").format(
            self._in_range(), not_excluded(self.plan), self.after_fence,
            none_of(self.form.legacy_key, [*self.failed, *self.unreadable]),
        )  # fmt: skip

    def target_rows(self, where: sql.Composable) -> sql.Composed:
        """The FROM clause of the target's rows of this source under `where`, as `t`, with their parents joined."""
        # A row that is marked as deleted is not there: should its key return, it is missing and comes back to life.
        key = record_key(key_columns(self.plan.key_columns, self.relation))
        return sql.SQL("(select *, xmin as hybrid_sync_xmin from {} where {} and not {} and {}) t {}").format(
            self.relation, belongs_to(self.source), is_any_marked(self.plan.entity, self.plan.source, key), where,
            self.form.joins,
        )  # fmt: skip

    def _stored(self, some: sql.Composable | None = None) -> sql.Composed:
        keys = key_parts(key_columns(self.plan.key_columns))
        left_out = none_of(keys, [*self.failed, *self.unreadable, *self.in_flight])
        first = sql.Identifier(self.plan.key_columns[0])
        where = sql.SQL("{} and {}").format(self.range.of(first), left_out)
        return self.target_rows(where if some is None else sql.SQL("{} and {}").format(where, some))

    # --- bucket by bucket ----------------------------------------------------------------------------------

    def compare(self) -> tuple[Checksums, Checksums]:
        """Both sides' checksums, computed at the same time; rows that legacy cannot compute are put aside."""
        with ThreadPoolExecutor(max_workers=1) as beside:
            theirs = beside.submit(self._target_checksums)
            try:
                with together(self.legacy) as trip:
                    trip.do("savepoint checksums")  # the snapshot outlives a row that fails
                    ours = trip.ask(self._legacy_checksums())
            except psycopg.Error as error:
                theirs.result()
                if self.legacy.closed:
                    raise
                self.legacy.execute("rollback to savepoint checksums")
                ask(self.legacy, self.plan, error)
                self.unreadable = self._find_unreadable()
                theirs = beside.submit(self._target_checksums)
                return answer(self.legacy, self._legacy_checksums()), theirs.result()
            return ours.value, theirs.result()

    def _find_unreadable(self) -> list[Key]:
        return unreadable_keys(self.legacy, self.plan, sent_row(self.plan, self.form), self._settled())

    def _legacy_checksums(self) -> Question[Checksums]:
        key = self.form.legacy_key[0]
        rows = sql.SQL("select {} as n, {} as h from {} where {} offset 0").format(
            bucket_of(key), sent_row(self.plan, self.form), self.plan.relations, self._settled()
        )
        return self._checksums(rows)

    def _target_checksums(self) -> Checksums:
        key = self.form.target_key[0]
        rows = sql.SQL("select {} as n, {} as h from {} offset 0").format(
            bucket_of(key), self.form.target_row(), self._stored()
        )
        return answer(self.target, self._checksums(rows))

    def _checksums(self, rows: sql.Composable) -> Question[Checksums]:
        """`rows` gives n and h; OFFSET 0 in it keeps the bytes from being computed twice."""
        sums = digests.text(digests.sums(sql.SQL("h"), self.seeds))
        query = sql.SQL("select n, count(*), {} from ({}) r group by n").format(sums, rows)
        return Question(
            query, None, lambda found: {int(n): (int(rows), str(sums)) for n, rows, sums in found.fetchall()}
        )

    def hold_the_same(self, keys: Sequence[Key]) -> bool:
        """Whether the rows of these keys are equal, those that are left out elsewhere among them; no, where legacy
        cannot compute one of them."""
        rows = sql.SQL("select 0 as n, {} as h from {} offset 0")
        mine = sql.SQL("{} where {}").format(self.plan.relations, one_of(self.plan.key_exprs, keys))
        stored = self.target_rows(one_of(key_columns(self.plan.key_columns), keys))
        try:
            with together(self.legacy) as trip:
                trip.do("savepoint few")  # the snapshot outlives a row that fails
                ours = trip.ask(self._checksums(rows.format(sent_row(self.plan, self.form), mine)))
        except psycopg.Error as error:
            if not is_row_state(error.sqlstate):
                raise
            self.legacy.execute("rollback to savepoint few")
            return False
        return ours.value == answer(self.target, self._checksums(rows.format(self.form.target_row(), stored)))

    # --- key by key ----------------------------------------------------------------------------------------

    def differing_keys(self, buckets: Sequence[int]) -> Iterator[Key]:
        """The keys of these buckets that stand on one side only or whose rows differ."""
        parts = len(self.plan.key_columns)
        for start in range(0, len(buckets), _BUCKETS_AT_ONCE):
            some = buckets[start : start + _BUCKETS_AT_ONCE]
            with (
                lines(self.legacy, self._legacy_digests(some), parts) as ours,
                lines(self.target, self._target_digests(some), parts) as theirs,
            ):
                yield from (key for key, _ in differing_lines(ours, theirs))

    def _legacy_digests(self, buckets: Sequence[int]) -> sql.Composed:
        return sql.SQL("select {}, {} from {} where {} and {}").format(
            sql.SQL(", ").join(self.form.legacy_key), digests.of_one(sent_row(self.plan, self.form)),
            self.plan.relations, self._settled(), within(self.plan.key_exprs[0], buckets),
        )  # fmt: skip

    def _target_digests(self, buckets: Sequence[int]) -> sql.Composed:
        return sql.SQL("select {}, {} from {}").format(
            sql.SQL(", ").join(self.form.target_key), digests.of_one(self.form.target_row()),
            self._stored(within(sql.Identifier(self.plan.key_columns[0]), buckets)),
        )  # fmt: skip


def differing_buckets(ours: Checksums, theirs: Checksums) -> list[int]:
    """Buckets whose checksums differ, in order."""
    return sorted(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n))


def within(key: sql.Composable, buckets: Sequence[int]) -> sql.Composed:
    """The condition that a key lies in one of these buckets; a key index serves it."""
    ranges = (Range(n * BUCKET, (n + 1) * BUCKET).of(key) for n in buckets)
    return sql.SQL("({})").format(sql.SQL(" or ").join(sql.SQL("({})").format(one) for one in ranges))


def sent_row(plan: ReadPlan, form: Canonical) -> sql.Composable:
    """The bytes of a legacy row; one that must not be sent has those of no stored row: without a failed record it
    differs."""
    if not plan.verdicts:
        return form.legacy_row()
    return sql.SQL("case when ({}) is null then {} else {} end").format(
        plan.verdict_sql, form.legacy_row(), digests.UNSENT
    )


def compared_row(plan: ReadPlan, form: Canonical) -> digests.Row:
    """`sent_row` for a pass."""
    unsent = sql.SQL("({}) is not null").format(plan.verdict_sql) if plan.verdicts else None
    return form.legacy_compared(unsent)


def not_excluded(plan: ReadPlan) -> sql.Composable:
    """The condition that the first rule that a legacy row breaks does not exclude it."""
    rules = [i for i, verdict in enumerate(plan.verdicts) if verdict.outcome == "exclude"]
    if not rules:
        return sql.SQL("true")
    return sql.SQL("coalesce({}, -1) <> all({}::int2[])").format(plan.verdict_sql, sql.Literal(rules))


def _keys(connection: Connection, query: sql.Composed) -> list[Key]:
    return [tuple(row[0]) for row in connection.execute(query).fetchall()]

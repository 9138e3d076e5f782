"""References: each one leads to a row, and none was lost on the way; counted per column, and named by key.

Whether a reference dangles is the target's own affair and is asked there alone, of every live row of ours.  Whether one
was lost (legacy has it, the target is NULL and no link is pending) is compared like the rows themselves: over settled
rows, stretch by stretch as the set of keys that carry it, and only stretches that differ are listed key by key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.compile import ReadPlan, ReferenceSlot
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.place import split, table
from hybrid_sync.compare.scope import Scope
from hybrid_sync.compare.stretches import bit_of, stretch_of, within
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import key_list, key_text, none_of, record_among, recorded
from hybrid_sync.postgres import Connection, Question, together
from hybrid_sync.recorded.checks import ReferenceLine
from hybrid_sync.schema.target_structure import guarded
from hybrid_sync.session import Answer, Trip

_SHOWN = 20
_AT_ONCE = 40


References = Mapping[str, ReferenceLine]
"""By target column."""


def references_of(entity: Entity) -> dict[str, ReferenceLine]:
    """Nothing counted yet; one for each reference column of the catalog."""
    found: dict[str, ReferenceLine] = {}
    for source in entity.sources.values():
        for column, reference in source.references.items():
            known = found[column].parents if column in found else ()
            parents = dict.fromkeys((*known, *(parent.to for parent in reference.parents)))
            found[column] = ReferenceLine(column=column, parents=tuple(parents))
    return found


@dataclass(frozen=True)
class Stored:
    """What the target says of a source's references before they are counted."""

    waiting: Answer[list[tuple[str, int]]]
    proven: Answer[set[tuple[str, str, str]]]


def ask_stored(trip: Trip, catalog: Catalog, scope: Scope) -> Stored:
    """Ask on a trip with other questions; use the answer after the trip."""
    return Stored(trip.ask(_waiting(scope)), trip.ask(guarded(catalog[scope.plan.entity].target)))


def count(
    total: References, catalog: Catalog, scope: Scope, differing: Sequence[Key], legacy: Connection,
    target: Connection, looked: tuple[Mapping[int, Carrying], Mapping[int, Carrying]] | None = None,
    stored: Stored | None = None,
) -> None:  # fmt: skip
    """Add one source to `total`; both connections hold the snapshots of this verification.

    `differing` are the keys that conservation found on one side only; `looked` is what a pass over both sides has seen,
    and `stored` what the target was asked before.
    """
    slots = scope.plan.references
    if not slots:
        return
    source = _Source(total, scope, slots, [*scope.failed_absent, *scope.failed_present, *differing], legacy, target)
    source.count(*(looked or source.look()))
    if stored is None:
        with together(target) as trip:
            stored = ask_stored(trip, catalog, scope)
    _count_waiting(total, scope, stored.waiting.value)
    for slot in slots:
        parents = [catalog[entity].target for entity, _ in slot.parents]
        if len(parents) > 1 or (slot.column, *split(parents[0])) not in stored.proven.value:
            _count_dangling(total[slot.column], scope, parents, target)


def _count_dangling(line: ReferenceLine, scope: Scope, parents: Sequence[str], target: Connection) -> None:
    stored = sql.SQL("{}.{}").format(scope.relation, sql.Identifier(line.column))
    orphaned = sql.SQL(" and ").join(
        sql.SQL("not exists (select from {} as p where p.id = {})").format(table(parent), stored) for parent in parents
    )
    found = target.execute(
        sql.SQL(
            "select array[{}], count(*) over () from {} where {} and {} is not null and {} order by 1 limit {}"
        ).format(_key(scope), scope.relation, scope.in_target(), stored, orphaned, sql.Literal(_SHOWN))
    ).fetchall()
    line.dangling += found[0][1] if found else 0
    _show(line.dangling_keys, scope, [tuple(key) for key, _ in found])


def _waiting(scope: Scope) -> Question[list[tuple[str, int]]]:
    # Named in full: within the subquery a table of the target that is called as an alias is would stand before it.
    own = sql.SQL(" and ").join(
        sql.SQL("{}.{} = hybrid_sync.pending_link.key[{}]").format(scope.relation, column, sql.Literal(i + 1))
        for i, column in enumerate(scope.key_columns)
    )
    query = sql.SQL(
        "select column_name, count(*) from hybrid_sync.pending_link where entity = {} and source = {}"
        " and exists (select from {} where {} and {}) group by 1"
    ).format(sql.Literal(scope.plan.entity), sql.Literal(scope.plan.source), scope.relation, own, scope.in_target())
    return Question(query, None, lambda found: [(row[0], row[1]) for row in found.fetchall()])


def _count_waiting(total: References, scope: Scope, rows: Sequence[tuple[str, int]]) -> None:
    empty = {slot.column for slot in scope.plan.references if slot.left_empty}
    for column, waiting in rows:
        if column in empty:
            total[column].left_empty += waiting
        elif column in total:
            total[column].waiting += waiting


def _key(scope: Scope) -> sql.Composed:
    return key_list(scope.key_columns)


def _show(shown: list[str], scope: Scope, keys: Sequence[Key]) -> None:
    room = max(_SHOWN - len(shown), 0)
    shown += [f"{scope.plan.source}:{key_text(key)}" for key in keys[:room]]


# --- both sides ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Carrying:
    """The rows of one stretch: how many, how many carry each reference, and a digest of the keys that do."""

    rows: int
    carried: list[int]
    checksums: list[str]


@dataclass
class _Source:
    """One source's references on both sides; `left_out` are failed records, and keys on one side only."""

    total: References
    scope: Scope
    slots: Sequence[ReferenceSlot]
    left_out: list[Key]
    legacy: Connection
    target: Connection

    def look(self) -> tuple[dict[int, Carrying], dict[int, Carrying]]:
        ours = self._by_stretch(self.legacy, self._in_legacy(sql.SQL("true")))
        return ours, self._by_stretch(self.target, self._in_target(sql.SQL("true")))

    def count(self, ours: Mapping[int, Carrying], theirs: Mapping[int, Carrying]) -> None:
        for i, slot in enumerate(self.slots):
            line = self.total[slot.column]
            line.without += sum(one.rows - one.carried[i] for one in ours.values())
            line.carried += sum(one.carried[i] for one in theirs.values())
        nothing = Carrying(0, [], ["" for _ in self.slots])
        differing = sorted(
            n for n, one in ours.items() if one.checksums != theirs.get(n, nothing).checksums
        )  # fmt: skip
        for start in range(0, len(differing), _AT_ONCE):
            self._find_lost(differing[start : start + _AT_ONCE])

    def _in_legacy(self, some: sql.Composable) -> sql.Composed:
        plan = self.scope.plan
        keys = self.scope.legacy_keys
        where = sql.SQL("{} and {} and {}").format(self.scope.settled(), none_of(keys, self.left_out), some)
        return _rows(keys, given(plan), sql.SQL("true"), plan.relations, where)

    def _in_target(self, some: sql.Composable) -> sql.Composed:
        keys = self.scope.stored_keys
        stored = [sql.SQL("{} is not null").format(sql.Identifier(slot.column)) for slot in self.slots]
        settled = none_of(keys, [*self.left_out, *self.scope.in_flight])
        where = sql.SQL("{} and {}").format(self.scope.in_target(), some)
        return _rows(keys, stored, settled, self.scope.relation, where)

    def _by_stretch(self, connection: Connection, rows: sql.Composed) -> dict[int, Carrying]:
        carried = [sql.SQL("count(*) filter (where {})").format(_flag(i)) for i in range(len(self.slots))]
        checksum = sql.SQL("coalesce(md5(({} filter (where {} and settled))::text), '')")
        # One integer as key: the exact set, as bits; a composite one: a sum of 64 bits of its digests.
        together = sql.SQL("sum(h)" if len(self.scope.key_columns) > 1 else "bit_or(h)")
        checksums = [checksum.format(together, _flag(i)) for i in range(len(self.slots))]
        query = sql.SQL("select n, count(*), array[{}], array[{}] from ({}) r group by n").format(
            sql.SQL(", ").join(carried), sql.SQL(", ").join(checksums), rows
        )
        return {int(n): Carrying(*found) for n, *found in connection.execute(query).fetchall()}

    def _find_lost(self, stretches: Sequence[int]) -> None:
        ours = self._keys(self.legacy, self._in_legacy(within(self.scope.plan.key_exprs[0], stretches)))
        theirs = self._keys(self.target, self._in_target(within(self.scope.key_columns[0], stretches)))
        for slot, given, stored in zip(self.slots, ours, theirs, strict=True):
            missing = given - stored
            lost = sorted(missing - self._pending(slot.column, missing))
            self.total[slot.column].lost += len(lost)
            _show(self.total[slot.column].lost_keys, self.scope, lost)

    def _keys(self, connection: Connection, rows: sql.Composed) -> list[set[Key]]:
        """The settled keys that carry each reference."""
        found: list[set[Key]] = [set() for _ in self.slots]
        flags = sql.SQL(", ").join(map(_flag, range(len(self.slots))))
        query = sql.SQL("select k, array[{}] from ({}) r where settled").format(flags, rows)
        for key, carried in connection.execute(query).fetchall():
            for keys, carries in zip(found, carried, strict=True):
                if carries:
                    keys.add(tuple(key))
        return found

    def _pending(self, column: str, keys: set[Key]) -> set[Key]:
        if not keys:
            return set()
        where = sql.SQL("column_name = {} and {}").format(column, record_among(keys))
        return set(recorded(self.target, "pending_link", self.scope.plan.entity, self.scope.plan.source, where))


def given(plan: ReadPlan) -> list[sql.Composable]:
    """Whether legacy's row refers to something, for each of the plan's references."""
    at = len(plan.key_columns) + 1
    found: list[sql.Composable] = []
    for slot in plan.references:
        fields = plan.fields[at : at + len(slot.parents)]
        found.append(
            sql.SQL("({})").format(sql.SQL(" or ").join(sql.SQL("{} is not null").format(field) for field in fields))
        )
        at += len(slot.parents)
    return found


def _flag(slot: int) -> sql.Identifier:
    """Whether a row carries the reference."""
    return sql.Identifier(f"r{slot}")


def _rows(
    keys: Sequence[sql.Composable], has: Sequence[sql.Composable], settled: sql.Composable,
    relations: sql.Composable, where: sql.Composable,
) -> sql.Composed:  # fmt: skip
    """Stretch, key and its share in a checksum, which references the row carries, and whether both sides must agree.

    OFFSET 0: each is computed once, and never for a row that is left out because legacy cannot compute it.
    """
    if len(keys) == 1:
        share = bit_of(keys[0])
    else:
        digest = sql.SQL("md5(record_send(row({})))").format(sql.SQL(", ").join(keys))
        share = sql.SQL("('x' || left({}, 16))::bit(64)::bigint").format(digest)
    flags = sql.SQL(", ").join(sql.SQL("{} as {}").format(carries, _flag(i)) for i, carries in enumerate(has))
    return sql.SQL("select {} as n, array[{}] as k, {} as h, {}, {} as settled from {} where {} offset 0").format(
        stretch_of(keys[0]), sql.SQL(", ").join(keys), share, flags, settled, relations, where
    )

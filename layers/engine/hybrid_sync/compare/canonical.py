"""The canonical form of a row: the bytes in which PostgreSQL would send it, with references as legacy keys.

Both servers compute it with the same function, `record_send`, over the same built-in types, so it needs no rule per
type: numerics carry their scale, floats every bit, jsonb its normalised text, timestamps their microseconds, texts
travel in the client's encoding, NULL has a length of its own and no two rows can run into each other.  These are the
values that a binary COPY would store, and two of them are equal exactly where `*<>`, by which the write drops
unchanged rows, finds the stored bytes equal.  Legacy's side is the value that legacy has, and never what the write's
own conversion made of it: where a conversion is allowed, the stored value is taken back to what it came from.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.compile import ReadPlan, ReferenceSlot
from hybrid_sync.catalog.place import table as relation
from hybrid_sync.compare.digests import Number, Row, of_one, sent
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import belongs_to, key_columns, key_list, key_parts, record_key

_UNTRANSLATED = sql.Literal(-1)
"""A reference to a row that no legacy row stands behind; no alternative has this number."""


@dataclass(frozen=True)
class CanonicalColumn:
    """One mapped column as the same typed values on both sides; a reference is (alternative, legacy key)."""

    name: str
    legacy: tuple[sql.Composable, ...]
    target: tuple[sql.Composable, ...]
    refers: bool = False


@dataclass(frozen=True)
class Canonical:
    """The mapped columns of one source, and the joins that translate the target's references (its row is `t`)."""

    columns: tuple[CanonicalColumn, ...]
    legacy_key: tuple[sql.Composable, ...]
    target_key: tuple[sql.Composable, ...]
    joins: sql.Composable

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def only(self, names: Collection[str]) -> Canonical:
        """Of these columns, and the key."""
        return replace(self, columns=tuple(column for column in self.columns if column.name in names))

    def legacy_row(self) -> sql.Composed:
        """The bytes of a whole row, its key included."""
        return sent(self.legacy_values())

    def target_row(self) -> sql.Composed:
        """`legacy_row` of the stored row."""
        return sent(self.target_values())

    def legacy_values(self) -> tuple[sql.Composable, ...]:
        """Those of a whole row, its key first."""
        return (*self.legacy_key, *(value for column in self.columns for value in column.legacy))

    def target_values(self) -> tuple[sql.Composable, ...]:
        """`legacy_values` of the stored row."""
        return (*self.target_key, *(value for column in self.columns for value in column.target))

    def legacy_compared(self, unsent: sql.Composable | None) -> Row:
        """A whole row for a pass; under the condition `unsent` it must equal no stored one."""
        return Row(self.legacy_values(), self._numbers(self.legacy_key, [c.legacy for c in self.columns]), unsent)

    def target_compared(self) -> Row:
        """`legacy_compared` of the stored row."""
        return Row(self.target_values(), self._numbers(self.target_key, [c.target for c in self.columns]))

    def _numbers(
        self, key: Sequence[sql.Composable], columns: Sequence[tuple[sql.Composable, ...]]
    ) -> tuple[Number, ...]:
        if not all(column.refers for column in self.columns):
            return ()
        return (*((None, part) for part in key), *((alternative, of_it) for alternative, of_it in columns))

    def legacy_columns(self) -> sql.Composed:
        """A checksum per column, as text[] in the order of `names`."""
        return _digests([column.legacy for column in self.columns])

    def target_columns(self) -> sql.Composed:
        """`legacy_columns` of the stored row."""
        return _digests([column.target for column in self.columns])


def canonical(catalog: Catalog, plan: ReadPlan) -> Canonical:
    """The canonical form of one source's rows."""
    at = len(plan.key_columns) + 1
    joins: list[sql.Composable] = []
    columns: list[CanonicalColumn] = []
    for slot in plan.references:
        alternatives = plan.fields[at : at + len(slot.parents)]
        at += len(slot.parents)
        columns.append(_reference(catalog, plan, slot, alternatives, joins))
    for name in (*plan.checked, *plan.plain):
        fitted = plan.fitted[name]
        stored = sql.SQL("t.{}").format(sql.Identifier(name))
        columns.append(CanonicalColumn(name, (fitted.ours,), (fitted.theirs(stored),)))
    return Canonical(
        tuple(columns),
        tuple(key_parts(plan.key_exprs)),
        tuple(key_parts(key_columns(plan.key_columns, "t"))),
        sql.SQL(" ").join(joins),
    )


def _reference(
    catalog: Catalog,
    plan: ReadPlan,
    slot: ReferenceSlot,
    alternatives: Sequence[sql.Composable],
    joins: list[sql.Composable],
) -> CanonicalColumn:
    """Which alternative, and which legacy key; on the target side found by joining the parents by id.

    A reference that was left empty is what its pending link says: it must be the one that legacy has now.
    """
    stored = sql.SQL("t.{}").format(sql.Identifier(slot.column))
    keys: list[sql.Composable] = []
    for parent, source in slot.parents:
        alias = sql.Identifier(f"hybrid_sync_parent_{len(joins)}")
        joins.append(_parent(catalog, parent, source, alias, stored))
        keys.append(sql.SQL("{}.hybrid_sync_key").format(alias))
    # No parent stands behind an empty reference, so it needs no look before theirs.
    key, empty = sql.SQL("coalesce({})").format(sql.SQL(", ").join(keys)), sql.SQL("null").format()
    if slot.left_empty:
        empty, empty_key = _pending(plan, slot)
        key = sql.SQL("case when {} is null then {} else {} end").format(stored, empty_key, key)
    chosen = sql.SQL("case {arms} when {stored} is not null then {none} else {empty} end::int2").format(
        stored=stored, empty=empty, arms=_arms(keys), none=_UNTRANSLATED
    )
    given = sql.SQL("case {} end::int2").format(_arms(alternatives))
    return CanonicalColumn(
        slot.column,
        (given, sql.SQL("coalesce({})").format(sql.SQL(", ").join(alternatives))),
        (chosen, *key_parts([key])),
        refers=True,
    )


def _pending(plan: ReadPlan, slot: ReferenceSlot) -> tuple[sql.Composed, sql.Composed]:
    """Alternative and legacy key of the row's pending link, found by its primary key; asked of empty ones only."""
    arms = sql.SQL(" ").join(
        sql.SQL("when l.parent_entity = {} and l.parent_source = {} then {}").format(*map(sql.Literal, (*parent, i)))
        for i, parent in enumerate(slot.parents)
    )
    key = record_key(key_columns(plan.key_columns, "t"))
    found = sql.SQL(
        "from hybrid_sync.pending_link l where l.entity = {} and l.source = {} and l.key = {} and l.column_name = {}"
    ).format(sql.Literal(plan.entity), sql.Literal(plan.source), key, sql.Literal(slot.column))
    return (
        sql.SQL("(select case {} end {})").format(arms, found),
        sql.SQL("(select l.parent_key {})").format(found),
    )


def _arms(keys: Sequence[sql.Composable]) -> sql.Composed:
    return sql.SQL(" ").join(
        sql.SQL("when {} is not null then {}").format(key, sql.Literal(i)) for i, key in enumerate(keys)
    )


def _parent(catalog: Catalog, entity: str, source: str, alias: sql.Identifier, stored: sql.Composable) -> sql.Composed:
    definition = catalog[entity]
    parent = definition.sources[source]
    # Names of our own, so that the columns of `t` can be named without it.
    keyed = sql.SQL("select id as hybrid_sync_id, {} as hybrid_sync_key from {} where {}").format(
        key_list(key_columns(parent.key)), relation(definition.target), belongs_to(parent)
    )
    return sql.SQL("left join ({}) {alias} on {alias}.hybrid_sync_id = {}").format(keyed, stored, alias=alias)


def _digests(columns: Sequence[Sequence[sql.Composable]]) -> sql.Composed:
    return sql.SQL("array[{}]::text[]").format(sql.SQL(", ").join(of_one(sent(values)) for values in columns))

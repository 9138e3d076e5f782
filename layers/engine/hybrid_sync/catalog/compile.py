"""One source compiled against both databases: the SELECT whose binary rows fit the target as they are.

Scalar transforms happen in the SELECT; a value that is not transformed never becomes a Python object.  What could
go wrong silently in a binary COPY (a narrower scale, a longer text, an unknown code, NaN in money) is asked in the
same SELECT as one small integer per row, the verdict.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from typing import Literal

from psycopg import sql

from hybrid_sync.catalog.columns import raw, spliced
from hybrid_sync.catalog.exact import Expr, Fitted
from hybrid_sync.catalog.fit import amount, fit
from hybrid_sync.catalog.forms import Constant, Stored
from hybrid_sync.catalog.keys import key_of, require_integer
from hybrid_sync.catalog.models import Entity, Parent, Source
from hybrid_sync.catalog.moments import require_moment
from hybrid_sync.catalog.place import table
from hybrid_sync.catalog.shape import NaturalTypes, TargetTable
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import StructureMismatch, together
from hybrid_sync.keys import key_parts
from hybrid_sync.pgtypes import BYTEA, TEXT, VARCHAR, PgType


@dataclass(frozen=True)
class Verdict:
    """Why a row is left out (`exclude`) or becomes a failed record (`fail`)."""

    outcome: Literal["exclude", "fail"]
    reason: str
    column: str | None = None


@dataclass(frozen=True)
class ReferenceSlot:
    """One uuid column of the target, filled from one of `parents` (usually just one)."""

    column: str
    parents: tuple[tuple[str, str], ...]
    """(entity, source) for each alternative, in SELECT order."""
    required: bool
    deferred: bool
    left_empty: bool = False
    """A parent that is missing costs the reference, not the row; a pending link remembers it."""


@dataclass(frozen=True)
class ReadPlan:
    """The compiled SELECT of one source; fields in the order keys, verdict, references, checked, plain."""

    entity: str
    source: str
    columns: sql.Composed
    relations: sql.Composed
    key_columns: tuple[str, ...]
    key_exprs: tuple[Expr, ...]
    key_widths: tuple[int, ...]
    """Bytes of each key column as legacy sends it."""
    verdicts: tuple[Verdict, ...]
    verdict_sql: sql.Composable
    excluded_sql: sql.Composable
    references: tuple[ReferenceSlot, ...]
    checked: Mapping[str, Stored]
    """The columns whose bytes are looked at, and by what."""
    plain: tuple[str, ...]
    fields: tuple[sql.Composable, ...] = ()
    """The SELECT's expressions one by one."""
    fitted: Mapping[str, Fitted] = field(default_factory=dict)
    """How each checked and plain column is compared: what legacy has with what the target stores."""
    amounts: Mapping[str, sql.Composable] = field(default_factory=dict)
    """Each money column as legacy has it, a numeric."""
    stored_widths: tuple[int, ...] | None = None
    """Bytes of each key column as the target takes it, where legacy may have keys that are too large for it."""
    octets: sql.Composable = field(default_factory=lambda: sql.SQL("0"))
    """About how many bytes a row's texts take; known without reading them where legacy stores them outside the row."""
    path: tuple[str, ...] | None = None
    """Where legacy looks up what the expressions name; None is nowhere but in PostgreSQL's own schema."""
    types: tuple[tuple[int, int], ...] = ()
    """What legacy computes, as (OID, modifier): by these types the bytes of its rows are understood."""
    unique: bool = False
    """Legacy proves that no two rows share a key."""
    discriminator: tuple[str, ...] = ()
    """The target columns that say which source a row is of."""
    changed_at: PgType | None = None
    """What legacy's `changed_at` is."""
    erased_sql: sql.Composable | None = None
    """Of the excluded rows, those of people who were erased; None where none was."""

    @property
    def target_columns(self) -> tuple[str, ...]:
        """The target columns of a spliced row, in order."""
        return ("id", *self.key_columns, *(r.column for r in self.references), *self.checked, *self.plain)

    @property
    def mapped_columns(self) -> tuple[str, ...]:
        """The columns that a sync may change: all but the identity."""
        return (*(r.column for r in self.references), *self.checked, *self.plain)

    @property
    def keyed(self) -> sql.Composed:
        """The condition that a row of legacy has a complete key; without one nothing distinguishes it, so it stays."""
        return keyed(self.key_exprs)

    def select(self, where: sql.Composable, at_most: int | None = None) -> sql.Composed:
        """Rows with a complete key, in key order; with `at_most` the first so many, and all others of the last key."""
        bound = sql.SQL("") if at_most is None else sql.SQL(" fetch first {} rows with ties").format(at_most)
        return sql.SQL("select {} from {} where {} and {} order by {}{}").format(
            self.columns, self.relations, self.keyed, where, sql.SQL(", ").join(self.key_exprs), bound
        )


def compile_source(
    entity: Entity, source_name: str, target: TargetTable, natural: NaturalTypes,
    sources_of: dict[Parent, str],
) -> ReadPlan:  # fmt: skip
    """The read plan of one source.

    `natural` gives each expression's type in legacy, `sources_of` the source that each parent is read from.  Raises
    StructureMismatch for a pair of types whose bytes would not mean the same on both sides.
    """
    source = entity.sources[source_name]
    if entity.detect == "timestamp":
        require_moment(entity, source_name, natural.changed_at)
    verdicts: list[tuple[Expr, Verdict]] = [
        (
            raw(rule.when),
            Verdict("exclude", rule.exclude) if rule.exclude else Verdict("fail", rule.fail or ""),
        )
        for rule in source.rules
    ]
    selected: list[sql.Composable] = []
    key_exprs = tuple(spliced(e) for e in source.key.values())
    keys = [key_of(entity, source_name, column, e, natural, target) for column, e in source.key.items()]
    selected += [sql.SQL("{}::{}").format(expr, key.sent) for expr, key in zip(key_exprs, keys, strict=True)]
    for expr, key, column in zip(key_exprs, keys, source.key, strict=True):
        verdicts += [(too_large, Verdict("fail", "numeric_out_of_range", column)) for too_large in key.too_large(expr)]
    slots: list[ReferenceSlot] = []
    for name, reference in source.references.items():
        parents = tuple((p.to, sources_of[p]) for p in reference.parents)
        left_empty = reference.on_missing == "null"
        slots.append(ReferenceSlot(name, parents, reference.required, reference.deferred, left_empty))
        for parent in reference.parents:
            require_integer(entity, source_name, f"the reference {name}", parent.key, natural)
            selected += key_parts([spliced(parent.key)])
    checked = {name: form.stored for name, form in source.columns.items() if form.stored is not None}
    money = {m.column for m in entity.money}
    fitted = _fitted(entity, source, target, natural, money)
    plain = tuple(name for name in fitted if name not in checked)
    for name in (*checked, *plain):
        selected.append(fitted[name].expr)
        verdicts += [(condition, Verdict("fail", reason, name)) for condition, reason in fitted[name].checks]
    verdict = _verdict(verdicts)
    selected.insert(len(key_exprs), verdict)
    excluded = [condition for condition, v in verdicts if v.outcome == "exclude"]
    return ReadPlan(
        entity.entity, source_name, sql.SQL(", ").join(selected), relations(source), tuple(source.key), key_exprs,
        tuple(key.width for key in keys), tuple(v for _, v in verdicts), verdict, _any(excluded), tuple(slots), checked,
        plain, tuple(selected), fitted,
        {name: amount(source.columns[name], natural.columns[name]) for name in sorted(money)},
        tuple(key.stored_width for key in keys) if any(key.narrower for key in keys) else None,
        path=entity.legacy_search_path,
        octets=_octets(source, natural),
        discriminator=tuple(source.discriminator), changed_at=natural.changed_at,
    )  # fmt: skip


def _fitted(
    entity: Entity, source: Source, target: TargetTable, natural: NaturalTypes, money: Collection[str]
) -> dict[str, Fitted]:  # fmt: skip
    """Each column's expression in the type of the target's; StructureMismatch names all that do not fit."""
    fitted: dict[str, Fitted] = {}
    misfits: list[StructureMismatch] = []
    for name, form in source.columns.items():
        place, stored = f"{entity.entity}.{name}", target.columns[name]
        try:
            fitted[name] = fit(place, form, natural.columns[name], stored, is_money=name in money)
        except StructureMismatch as misfit:
            misfits.append(misfit)
    if misfits:
        raise together(misfits)
    for name, value in source.discriminator.items():
        stored = target.columns[name]
        fitted[name] = fit(f"{entity.entity}.{name}", Constant(constant=value), stored.type, stored)
    return fitted


def keyed(key_exprs: Sequence[sql.Composable]) -> sql.Composed:
    """The condition that no part of the key is NULL."""
    return sql.SQL(" and ").join(sql.SQL("({}) is not null").format(expr) for expr in key_exprs)


def _octets(source: Source, natural: NaturalTypes) -> sql.Composable:
    # Of bare columns only: anything else would have to be computed, and could fail. pg_column_size would count
    # compressed bytes.
    widths = [
        sql.SQL("coalesce(octet_length({}), 0)").format(form.value)
        for name, form in source.columns.items()
        if natural.columns[name].oid in (BYTEA, TEXT, VARCHAR) and form.is_bare_column
    ]
    return sql.SQL(" + ").join(widths) if widths else sql.SQL("0")


def table_of(source: Source) -> sql.Composed:
    """The base table under its alias."""
    return _table(source.table.table, source.table.alias)


def relations(source: Source) -> sql.Composed:
    """The FROM clause: base table and joins."""
    parts: list[sql.Composable] = [table_of(source)]
    for join in source.joins:
        parts.append(sql.SQL("{} {} on ({})").format(sql.SQL(join.kind), _table(join.table, join.alias), raw(join.on)))
    return sql.SQL(" ").join(parts)


def _table(name: str, alias: str) -> sql.Composed:
    return sql.SQL("{} as {}").format(table(name), sql.Identifier(alias))


def _verdict(verdicts: list[tuple[Expr, Verdict]]) -> sql.Composable:
    """The number of the first condition that holds, or NULL; a condition that is NULL does not hold."""
    if not verdicts:
        return sql.SQL("null::int2")
    arms = [
        sql.SQL("when ({}) then {}::int2").format(condition, sql.Literal(i))
        for i, (condition, _) in enumerate(verdicts)
    ]
    return sql.SQL("case {} end").format(sql.SQL(" ").join(arms))


def _any(conditions: list[Expr]) -> sql.Composable:
    if not conditions:
        return sql.SQL("false")
    return sql.SQL("coalesce({}, false)").format(
        sql.SQL(" or ").join(sql.SQL("coalesce(({}), false)").format(c) for c in conditions)
    )

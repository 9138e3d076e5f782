"""The catalog's vocabulary: what a catalog file may say, and nothing else."""

from __future__ import annotations

import re
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from hybrid_sync.catalog.erasure import Erasure
from hybrid_sync.catalog.forms import Column
from hybrid_sync.catalog.grammar import (
    Condition,
    Expression,
    FromText,
    Identifier,
    JoinText,
    Name,
    Relation,
    RowExpression,
    SearchPath,
    Share,
    Strict,
    Truth,
    WatchText,
    Whole,
    Word,
)


def _listed(value: object) -> object:
    """One item may stand without its dash."""
    return [value] if isinstance(value, str | dict) else value


class Priority(StrEnum):
    critical = "critical"
    high = "high"
    normal = "normal"
    low = "low"


# --- references and rules ------------------------------------------------------------------------------------


class Parent(Strict):
    """One entity that a reference may point to, and the legacy integer that says which row."""

    to: Name
    key: RowExpression
    source: Name | None = None
    """The parent's source, where the parent entity has more than one."""


class Reference(Strict):
    """A target uuid column that points to another entity's row.

    `to` + `key` for the usual reference; `any` for a generic one, where a type column says which of several
    parents is meant: at most one alternative's key may be non-null in a row.  `required` makes a NULL key a
    failed record; a key whose parent is missing is one unless `on_missing: null` leaves it empty.  `deferred` is for
    cycles: the row is written first and the reference linked when both ends exist, so the target column must be
    nullable.
    """

    to: Name | None = None
    key: RowExpression | None = None
    source: Name | None = None
    any: tuple[Parent, ...] = ()
    required: Truth = False
    deferred: Truth = False
    on_missing: Annotated[Literal["fail", "null"], BeforeValidator(lambda v: "null" if v is None else v)] = "fail"
    """`null`: a row whose parent is not in the target is written without it, and linked as soon as there is one."""

    @model_validator(mode="after")
    def _one_form(self) -> Reference:
        single = self.to is not None and self.key is not None
        if single == bool(self.any):
            raise ValueError("write either `to` and `key`, or `any` with a list of them")
        if self.required and self.deferred:
            raise ValueError("a deferred reference is written later, so it cannot be `required`: drop one of the two")
        if self.required and self.on_missing == "null":
            raise ValueError("a reference that may be left empty cannot be `required`: drop one of the two")
        return self

    @cached_property
    def parents(self) -> tuple[Parent, ...]:
        """Every alternative, one for the usual form."""
        if self.any:
            return self.any
        assert self.to is not None and self.key is not None
        return (Parent(to=self.to, key=self.key, source=self.source),)


class Rule(Strict):
    """A condition on a legacy row: `exclude` leaves the row out on purpose, `fail` makes it a failed record."""

    exclude: Name | None = None
    fail: Name | None = None
    when: Condition

    @model_validator(mode="after")
    def _one_outcome(self) -> Rule:
        if (self.exclude is None) == (self.fail is None):
            raise ValueError("name the outcome: either `exclude: reason` or `fail: reason`")
        return self


# --- money, deletes, detection ---------------------------------------------------------------------------------


class Money(Strict):
    """A money column of the target: summed per currency (and status) on both sides, to the cent."""

    column: Identifier
    currency: Identifier | None = None
    """The target column that holds the currency code."""
    constant_currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    status: Identifier | None = None
    headline: Truth = False
    """The column that stands for the entity's financial impact in the report; at most one."""

    @model_validator(mode="before")
    @classmethod
    def _code_for_column(cls, value: object) -> object:
        """`currency: EUR` can only mean the constant: a column with capitals is written in SQL's quotes."""
        if isinstance(value, dict) and re.fullmatch("[A-Z]{3}", str(value.get("currency"))):
            moved = {key: v for key, v in value.items() if key != "currency"}
            if "constant_currency" not in moved:
                return {**moved, "constant_currency": value["currency"]}
        return value

    @model_validator(mode="after")
    def _one_currency(self) -> Money:
        if (self.currency is None) == (self.constant_currency is None):
            raise ValueError("say which currency: either `currency: column` or `constant_currency: USD`")
        return self


class Adopt(Strict):
    """How a legacy row that is new finds the native row of the target which is the same thing.

    `by` names target columns that together say who or what it is; `when` is a condition on the target row `t`.
    Exactly one row has to fit on each side.  Anybody can type in somebody's e-mail address, so adoption by one needs
    a condition that proves it was verified.
    """

    by: Annotated[tuple[Identifier, ...], Field(min_length=1)]
    when: Expression | None = None

    @model_validator(mode="after")
    def _verified(self) -> Adopt:
        mail = [column for column in self.by if "mail" in column]
        if mail and self.when is None:
            raise ValueError(
                f"adoption by {mail[0]} needs `when`, a condition on the target row that proves the address was"
                " verified, such as `when: t.email_verified`"
            )
        return self


AdoptList = Annotated[Adopt, BeforeValidator(lambda v: {"by": v} if isinstance(v, list | tuple) else v)]


class OnDelete(Strict):
    """What happens in the target when the legacy row is gone: nothing, `soft` (set columns), or `hard` (delete)."""

    policy: Literal["ignore", "soft", "hard"] = "ignore"
    set: dict[Identifier, Expression] = Field(default_factory=dict)
    """For `soft`: target column -> SQL expression, e.g. `deleted_at: now()`."""
    floor: Annotated[Whole, Field(ge=0)] = 10
    """So many rows of a source may go within a week whatever their share; never all of them, nor more than half."""
    share: Share = 0.02
    """So large a part of a source's rows may go within a week."""
    cap: Annotated[Whole, Field(ge=0)] = 10_000
    """More than so many never go within a week without a person's word, however small their part is."""

    @model_validator(mode="before")
    @classmethod
    def _earlier_names(cls, value: object) -> object:
        """What `floor` and `share` were called before there was a cap."""
        if not isinstance(value, dict):
            return value
        return {{"max_rows": "floor", "max_share": "share"}.get(key, key): given for key, given in value.items()}

    @model_validator(mode="after")
    def _soft_sets(self) -> OnDelete:
        if (self.policy == "soft") != bool(self.set):
            raise ValueError(
                "`policy: soft` needs `set` with the columns to change, such as `set: {deleted_at: now()}`; the other"
                " policies must not have it"
            )
        return self


class Tolerance(Strict):
    """Known defects of one reason that a run may leave behind and still succeed; whatever is not written is none.

    Up to `share` of the entity's legacy rows, or up to `rows` of them, whichever is more.
    """

    reason: Name
    share: Annotated[Share, Field(gt=0)] | None = None
    rows: Annotated[Whole, Field(ge=1)] | None = None
    why: Annotated[Word, Field(pattern=r"\S")]
    """Who reads the report next year wants to know."""

    @model_validator(mode="after")
    def _some_measure(self) -> Tolerance:
        if self.share is None and self.rows is None:
            raise ValueError("say how much is tolerated: `share: 0.02` of the entity's legacy rows, or `rows: 3`")
        return self

    def allows(self, rows: int, of: int) -> bool:
        """Whether so many open records are within it; `of` are the entity's legacy rows."""
        # As a fraction: 0.1 as a float is not a tenth, and a border is a border.
        within = self.share is not None and rows <= Fraction(str(self.share)) * of
        return within or (self.rows is not None and rows <= self.rows)


class Source(Strict):
    """One legacy SELECT that feeds an entity."""

    table: Annotated[FromText, Field(alias="from")]
    joins: Annotated[tuple[JoinText, ...], BeforeValidator(_listed)] = ()
    watch: Annotated[tuple[WatchText, ...], BeforeValidator(_listed)] = ()
    key: Annotated[dict[Identifier, RowExpression], Field(min_length=1)]
    """Target column -> expression over the base table's key columns; integers.  The first one orders the batches."""
    discriminator: dict[Identifier, Word] = Field(default_factory=dict)
    """Target column -> constant that completes the key where an entity has several sources."""
    changed_at: RowExpression | None = None
    """A timestamp expression: for `detect: timestamp` and for date ranges in a request."""
    columns: dict[Identifier, Column] = Field(default_factory=dict)
    references: dict[Identifier, Reference] = Field(default_factory=dict)
    rules: Annotated[tuple[Rule, ...], BeforeValidator(_listed)] = ()

    @property
    def aliases(self) -> tuple[str, ...]:
        """The base table's alias, then the joined ones."""
        return (self.table.alias, *(join.alias for join in self.joins))

    @model_validator(mode="after")
    def _columns_once(self) -> Source:
        seen: set[str] = set()
        for group in (self.key, self.discriminator, self.columns, self.references):
            for column in group:
                if column in seen or column == "id":
                    raise ValueError(f"target column {column} is written twice: keep one of the two")
                seen.add(column)
        if len(set(self.aliases)) != len(self.aliases):
            raise ValueError("two tables share an alias: give each its own")
        return self


class Entity(Strict):
    """One target table, fed by one or more legacy SELECTs; one catalog file."""

    entity: Name
    target: Relation
    sources: Annotated[dict[Name, Source], Field(min_length=1)]
    description: str = ""
    component: str = ""
    """The name that the business uses in reports; the entity's own name when empty."""
    priority: Priority = Priority.normal
    batch_size: Annotated[Whole, Field(ge=1, le=50_000)] | None = None
    first_load: Literal["usual", "bulk"] = "usual"
    """`bulk`: while the table, empty until then, is loaded for the first time, it lacks its primary key,
    secondary indexes and foreign keys; they are made again after it."""
    detect: Literal["commit_fence", "timestamp"] = "commit_fence"
    lag_seconds: Annotated[Whole, Field(ge=0)] | None = None
    view_is_whole: Annotated[Word, Field(min_length=1)] | None = None
    """Why a view, or a foreign table, shows every row that there is: what it leaves out looks deleted."""
    legacy_search_path: SearchPath | None = None
    """Schemas in which legacy looks up the functions, operators and types that the expressions name, and the tables of
    their subqueries; by default just `pg_catalog`, where nobody can put another meaning under a name."""
    money: Annotated[tuple[Money, ...], BeforeValidator(_listed)] = ()
    on_delete: Annotated[OnDelete, BeforeValidator(lambda v: {"policy": v} if isinstance(v, str) else v)] = OnDelete()
    adopt: AdoptList | None = None
    tolerate: tuple[Tolerance, ...] = ()
    """Which failures, and how many, a run may leave behind and still succeed."""
    erasure: Erasure | None = None

    @property
    def title(self) -> str:
        return self.component or self.entity.replace("_", " ")

    @model_validator(mode="after")
    def _sources_agree(self) -> Entity:
        shapes = {
            (tuple(s.key), tuple(s.discriminator), frozenset(s.columns), frozenset(s.references))
            for s in self.sources.values()
        }
        if len(shapes) > 1:
            raise ValueError("every source of an entity must fill the same key, columns and references")
        if len(self.sources) > 1:
            if not next(iter(self.sources.values())).discriminator:
                raise ValueError("an entity with several sources needs `discriminator` in each of them")
            values = [tuple(s.discriminator.values()) for s in self.sources.values()]
            if len(set(values)) != len(values):
                raise ValueError("two sources have the same discriminator: give each its own value")
        if self.detect == "timestamp" and any(s.changed_at is None for s in self.sources.values()):
            raise ValueError("`detect: timestamp` needs `changed_at` in every source")
        if self.view_is_whole is not None and self.detect != "timestamp":
            raise ValueError("`view_is_whole` needs `detect: timestamp`: the rows of a view carry no transaction id")
        if self.detect != "timestamp" and self.lag_seconds is not None:
            raise ValueError("`lag_seconds` is about timestamps: write `detect: timestamp` as well, or take it out")
        for column in self.adopt.by if self.adopt else ():
            form = next(iter(self.sources.values())).columns.get(column)
            if form is None or not form.adoptable:
                raise ValueError(f"adopt.by: {column} is not a column with a value per row: name one of `columns`")
        if len({t.reason for t in self.tolerate}) != len(self.tolerate):
            raise ValueError("`tolerate` names a reason twice: write each once")
        if sum(m.headline for m in self.money) > 1:
            raise ValueError("only one money column can be the `headline`")
        return self

"""What the two databases really look like: the types that the catalog's columns meet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import NamedTuple

from hybrid_sync.dataclass import dataclass
from hybrid_sync.pgtypes import BPCHAR, VARCHAR, PgType


@dataclass(frozen=True)
class TargetColumn:
    """One column of a target table as PostgreSQL describes it."""

    name: str
    type_oid: int
    type_sql: str
    """`format_type` with modifiers, e.g. `numeric(12,2)`; a domain's own name."""
    type: PgType
    """What it is under its domains."""
    not_null: bool
    writable: bool
    """False for generated columns and `generated always as identity`."""
    has_default: bool = False
    references: tuple[str, str] | None = None
    """Schema and table that a declared foreign key of just this column points to."""
    number: int = 0
    """Another one when the column was dropped and made anew."""
    numbered: bool = False
    """`generated always as identity`: it takes a value of ours only in a row that comes back."""

    @property
    def base_oid(self) -> int:
        """The type under all domains; the same as `type_oid` where there is none."""
        return self.type.oid

    @property
    def precision(self) -> int | None:
        return self.type.precision_and_scale[0] if self.type.precision_and_scale else None

    @property
    def scale(self) -> int | None:
        return self.type.precision_and_scale[1] if self.type.precision_and_scale else None

    @property
    def max_length(self) -> int | None:
        """Characters of char(n) and varchar(n)."""
        return self.type.length if self.type.oid in (BPCHAR, VARCHAR) else None

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of an enum type."""
        return self.type.labels


def identity_of(table: int, columns: Iterable[tuple[str, int, str]], names: Iterable[str]) -> str:
    """Of a table by its OID and those of its columns, (name, number, type), that are named."""
    described = sorted(column for column in columns if column[0] in set(names))
    return hashlib.sha256(json.dumps([table, described]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class TargetTable:
    """One target table: its columns by name, and whether row security applies to us."""

    schema: str
    name: str
    columns: dict[str, TargetColumn]
    row_security: bool
    unique_keys: frozenset[frozenset[str]]
    filled_by_triggers: bool = False
    """Whether a trigger runs before each insert, which may fill columns that the catalog does not."""
    fires: frozenset[str] = frozenset()
    """Those of `insert`, `update`, `delete` that fire a trigger, which may change what is written, and other rows."""
    oid: int = 0
    """Another one when the table was."""
    tells_old: bool = False
    """An update of it can say what each row was before."""
    values_move: bool = True
    """Whether a row may want what another one gives up: something besides ids and keys is unique, or a trigger is
    there, which may ask for that in another table."""
    below: str = ""
    """Of its partitions and heirs: another text when one of them is another table; empty where there is none."""
    cascades: bool = False
    """Whether foreign keys with ON UPDATE refer to what an update may change."""

    @property
    def writes_beside(self) -> bool:
        """Whether a write of ours may make the server write other rows, too."""
        return bool(self.fires) or self.cascades

    def identity_of(self, names: Iterable[str]) -> str:
        """Another text when one of these columns, or the table, is not the one any more that rows were written to."""
        return identity_of(self.oid, [(c.name, c.number, c.type_sql) for c in self.columns.values()], names)

    def labels_of(self, names: Iterable[str]) -> str:
        """Another text when the labels of these columns' enums are others, or stand in another order: a value is kept
        as a number, so that a label that is renamed changes what every row says; empty where none is an enum."""
        enums = [(name, self.columns[name].labels) for name in sorted(set(names)) if name in self.columns]
        described = [(name, labels) for name, labels in enums if labels]
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16] if described else ""


class AsPlanned(NamedTuple):
    """By what an entity is read and written in a run: kept with the run, whose steps may each be another worker."""

    definition: str
    """Of catalog, relations and table."""
    types: str
    """Of what legacy computes, by which the bytes of its rows are understood."""


@dataclass(frozen=True)
class NaturalTypes:
    """What the expressions of one source are in legacy."""

    columns: dict[str, PgType]
    """By target column."""
    integers: dict[str, PgType]
    """What must be integers, keys and references, by the expression as the catalog writes it."""
    changed_at: PgType | None = None
    """None where the catalog does not say when a row was written."""
    as_asked: tuple[tuple[int, int], ...] = ()
    """All of them as (OID, modifier), as legacy said."""

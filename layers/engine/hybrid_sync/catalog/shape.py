"""What the two databases really look like: the types that the catalog's columns meet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TargetColumn:
    """One column of a target table as PostgreSQL describes it."""

    name: str
    type_oid: int
    base_oid: int
    """The type under a domain; the same as `type_oid` otherwise."""
    type_sql: str
    """`format_type` with modifiers, e.g. `numeric(12,2)`."""
    precision: int | None
    scale: int | None
    max_length: int | None
    not_null: bool
    writable: bool
    """False for generated columns and `generated always as identity`."""
    labels: tuple[str, ...] = ()
    """The labels of an enum type."""
    references: str | None = None
    """`schema.table` that a declared foreign key of just this column points to."""


@dataclass(frozen=True)
class TargetTable:
    """One target table: its columns by name, and whether row security applies to us."""

    schema: str
    name: str
    columns: dict[str, TargetColumn]
    row_security: bool
    unique_keys: frozenset[frozenset[str]]


@dataclass(frozen=True)
class LegacyColumn:
    """The natural type of one SELECT expression in legacy."""

    type_oid: int
    type_name: str
    precision: int | None
    scale: int | None
    max_length: int | None

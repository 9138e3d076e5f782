"""The tables that each contestant writes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bench.peers.tables import TABLES, Column, Table


def with_ids(tables: Sequence[Table] = TABLES) -> str:
    """UUID keys; unique legacy keys, foreign keys and an index on each reference."""
    return "\n".join(
        statement for table in tables for statement in (_with_ids(table, references=True), *_indexes(table))
    )


def with_numbers(tables: Sequence[Table] = TABLES) -> str:
    """Legacy's own integer keys; as many indexes as `with_ids` has, and foreign keys."""
    return "\n".join(
        statement for table in tables for statement in (_with_numbers(table, constraints=True), *_indexes(table))
    )


def bare_with_ids() -> str:
    """As `with_ids`, with nothing but the columns."""
    return "\n".join(_with_ids(table, references=False, keys=False) for table in TABLES)


def bare_with_numbers(tables: Sequence[Table] = TABLES) -> str:
    return "\n".join(_with_numbers(table, constraints=False) for table in tables)


def keys_of_ids() -> list[str]:
    """What `bare_with_ids` lacks: keys and indexes, which may be built side by side."""
    return [f"alter table {t.name} add primary key (id), add unique (legacy_id)" for t in TABLES] + _all_indexes()


def keys_of_numbers() -> list[str]:
    return [f"alter table {t.name} add primary key (id), add unique (id)" for t in TABLES] + _all_indexes()


def foreign_keys() -> list[str]:
    """To be added when all keys are there."""
    return [
        f"alter table {table.name} add foreign key ({column.name}) references {column.to} (id)"
        for table in TABLES for column in table.references
    ]  # fmt: skip


def natives(rows: int) -> str:
    """Rows that were born in the target, so that its tables are in use."""
    return "\n".join(
        f"insert into {table.name} (id, created_at) select gen_random_uuid(), now() from generate_series(1, {rows});"
        for table in TABLES
    )


def _with_ids(table: Table, *, references: bool, keys: bool = True) -> str:
    key = "id uuid primary key, legacy_id bigint unique" if keys else "id uuid not null, legacy_id bigint"
    return f"create table {table.name} ({key}, {_declared(table, references, lambda column: column.target_type)});"


def _with_numbers(table: Table, *, constraints: bool) -> str:
    key = "id int primary key, unique (id)" if constraints else "id int not null"
    return f"create table {table.name} ({key}, {_declared(table, constraints, lambda column: column.type)});"


def _declared(table: Table, references: bool, type_of: Callable[[Column], str]) -> str:
    def said(column: Column) -> str:
        refers = f" references {column.to} (id)" if references and column.to else ""
        return f"{column.name} {type_of(column)}{refers}"

    return ", ".join(said(column) for column in table.columns)


def _indexes(table: Table) -> Iterator[str]:
    return (f"create index on {table.name} ({column.name});" for column in table.references)


def _all_indexes() -> list[str]:
    return [statement for table in TABLES for statement in _indexes(table)]

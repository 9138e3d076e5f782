"""The twelve entities, written as the catalog files that a user would write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.peers.tables import TABLES, Column, Table

_MONEY = """money:
  - { column: amount, currency: currency, status: status, headline: true }
  - { column: tax, currency: currency, status: status }
"""


def write(folder: Path, tables: Sequence[Table] = TABLES) -> None:
    """One file for each entity."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        (folder / f"{table.name}.yaml").write_text("\n".join(_lines(table)) + "\n", "utf-8")


def _lines(table: Table) -> Iterator[str]:
    yield from (
        f"entity: {table.name}", f"target: {table.name}", "first_load: bulk", "sources:", f"  {table.name}:",
        f"    from: {table.name} r", "    key: { legacy_id: r.id }", "    changed_at: r.updated_at",
    )  # fmt: skip
    if table.references:
        yield "    references:"
        for column in table.references:
            yield f"      {column.name}: {{ to: {column.to}, key: r.{column.name} }}"
    yield "    columns:"
    for column in table.values:
        yield f"      {column.name}: {_value(column)}"
    if table.name == "purchases":
        yield _MONEY.rstrip()


def _value(column: Column) -> str:
    if column.choice:
        words = ", ".join(f"{n}: {word}" for n, word in enumerate(column.choice))
        return f"{{ enum: r.{column.name}, values: {{ {words} }} }}"
    if column.json:
        return f"{{ json: r.{column.name} }}"
    if column.expression == "lower({})":
        return f"{{ lower: r.{column.name} }}"
    return f'"{column.in_sql()}"' if column.expression else f"r.{column.name}"

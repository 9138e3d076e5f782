"""Constants mean what they say: the target column's type reads each of them, whole, and always in the same way."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.forms import Constant
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.shape import TargetColumn, TargetTable
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.postgres import Connection

_INTEGERS, _NUMBERS = {20, 21, 23}, {1700, 700, 701}
_TIMES = {1082, 1083, 1114, 1184, 1266}
_BPCHAR, _VARCHAR = 1042, 1043
_SPELLED = {
    **dict.fromkeys(_INTEGERS, re.compile(r"\s*[+-]?\d+\s*")),
    **dict.fromkeys(_NUMBERS, re.compile(r"\s*[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|inf(inity)?)\s*|NaN", re.I)),
    # `now` and its kin are read anew in every statement.
    **dict.fromkeys(_TIMES, re.compile(r"(?!.*\b(now|today|tomorrow|yesterday)\b).*", re.I | re.S)),
}


def constants_problems(connection: Connection, entity: Entity, found: TargetTable) -> Iterator[StructureMismatch]:
    """One for each constant or discriminator that the target column would refuse, cut, or spell differently."""
    for source in entity.sources.values():
        for name, column in source.columns.items():
            if isinstance(column, Constant) and name in found.columns:
                yield from _constant(connection, entity, name, column.constant, found.columns[name])
        for name, value in source.discriminator.items():
            if name in found.columns:
                yield from _discriminator(connection, entity, name, value, found.columns[name])


def _constant(
    connection: Connection, entity: Entity, name: str, value: str | None, column: TargetColumn
) -> Iterator[StructureMismatch]:
    if value is None:
        if column.not_null:
            yield StructureMismatch(
                f"{entity.entity}.{name}: the constant is null, and the target column is NOT NULL.",
                "Write a value, or drop the column's NOT NULL.",
            )
        return
    spelled = _SPELLED.get(column.base_oid)
    if (spelled is not None and spelled.fullmatch(value) is None) or not _kept(connection, column, value):
        yield StructureMismatch(
            f"{entity.entity}.{name}: the constant {_shown(value)} does not fit {column.type_sql} exactly.",
            f"Write it as {column.type_sql} does, in full and in decimal digits.",
        )


def _discriminator(
    connection: Connection, entity: Entity, name: str, value: str, column: TargetColumn
) -> Iterator[StructureMismatch]:
    shown = _ask(connection, sql.SQL("({}::{})::text").format(sql.Literal(value), raw(column.type_sql)))
    if shown != value:
        yield StructureMismatch(
            f"{entity.entity}.{name}: the discriminator {_shown(value)} is not how {column.type_sql} writes a value.",
            "Write it exactly as the column shows it, because rows are found by it."
            if shown is None
            else f"Write {_shown(str(shown))}, because rows are found by it.",
        )


def _kept(connection: Connection, column: TargetColumn, value: str) -> bool:
    """Whether the type takes the value, and its modifiers neither cut nor round it."""
    if column.max_length is not None and len(value) > column.max_length:
        return False
    literal = sql.Literal(value)
    if column.scale is not None:
        kept = sql.SQL("({v}::{typed})::numeric = {v}::numeric").format(v=literal, typed=raw(column.type_sql))
    elif column.base_oid in (_BPCHAR, _VARCHAR) or "(" not in column.type_sql:
        kept = sql.SQL("({}::{}) is not null").format(literal, raw(column.type_sql))
    else:
        base = raw(re.sub(r"\(.*?\)", "", column.type_sql))
        kept = sql.SQL("({v}::{typed})::{base} = {v}::{base}").format(v=literal, typed=raw(column.type_sql), base=base)
    return bool(_ask(connection, kept))


def _ask(connection: Connection, question: sql.Composed) -> object:
    """The answer, or None where the value is none of its type."""
    try:
        with connection.transaction():  # a savepoint where planning has begun a transaction
            row = connection.execute(sql.SQL("select {}").format(question)).fetchone()
    except (psycopg.errors.DataError, psycopg.errors.IntegrityError):
        return None
    return None if row is None else row[0]


def _shown(value: str) -> str:
    return value if len(value) <= 40 else f"{value[:40]}…"

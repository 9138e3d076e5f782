"""The codes of an enum column are of the legacy value's own type: PostgreSQL reads them, and no two are equal."""

from __future__ import annotations

import re

import psycopg
from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.compile import relations
from hybrid_sync.catalog.forms import EnumMap
from hybrid_sync.catalog.models import Entity, Source
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.postgres import Connection

_INTEGERS = {20, 21, 23}


def require_codes(connection: Connection, entity: Entity, source_name: str) -> None:
    """StructureMismatch for a code that the legacy type does not know, and for two that it takes for the same.

    What else is wrong with the source's tables and expressions is reported by whoever looks at all of them.
    """
    source = entity.sources[source_name]
    enums = {name: column for name, column in source.columns.items() if isinstance(column, EnumMap)}
    if not enums:
        return
    try:
        with connection.transaction():  # a savepoint where planning has begun a transaction
            kinds = _type_oids(connection, source, enums)
    except psycopg.ProgrammingError:
        return
    for name, column in enums.items():
        for code in column.values:
            # From PostgreSQL 16 on 0x1F and 1_000 are integers, before they are not: spelling decides neither.
            if kinds[name] in _INTEGERS and re.fullmatch(r"[+-]?\d+", code) is None:
                raise _unknown(entity, name, code)
    for name, column in enums.items():
        _require(connection, entity, source, name, column)


def _type_oids(connection: Connection, source: Source, enums: dict[str, EnumMap]) -> dict[str, int]:
    probes = sql.SQL(", ").join(sql.SQL("({})").format(raw(column.enum)) for column in enums.values())
    cursor = connection.execute(sql.SQL("select {} from {} limit 0").format(probes, relations(source)))
    return {name: c.type_code for name, c in zip(enums, cursor.description or (), strict=True)}


def _require(connection: Connection, entity: Entity, source: Source, name: str, column: EnumMap) -> None:
    distinct = _distinct(connection, source, column, list(column.values))
    if distinct is None:
        wrong = [code for code in column.values if _distinct(connection, source, column, [code]) is None]
        raise _unknown(entity, name, ", ".join(wrong or column.values))
    if distinct < len(column.values):
        raise StructureMismatch(
            f"{entity.entity}.{name}: two of the codes {', '.join(column.values)} are the same value in legacy's type.",
            "Keep one of the two, or put `::text` behind the expression to compare spellings.",
        )


def _distinct(connection: Connection, source: Source, column: EnumMap, codes: list[str]) -> int | None:
    """How many different values the codes are in the expression's type, None if one is none; no row is read."""
    arms = sql.SQL(" ").join(sql.SQL("union all select {}").format(sql.Literal(code)) for code in codes)
    query = sql.SQL("select count(distinct c) from (select ({}) as c from {} where false {}) x").format(
        raw(column.enum), relations(source), arms
    )
    try:
        with connection.transaction():
            row = connection.execute(query).fetchone()
    except psycopg.errors.DataError:
        return None
    assert row is not None, "an aggregate is one row"
    return int(row[0])


def _unknown(entity: Entity, name: str, code: str) -> StructureMismatch:
    return StructureMismatch(
        f"{entity.entity}.{name}: legacy's type has no value that is written {code}.",
        "Write the code as legacy's type shows it, or put `::text` behind the expression.",
    )

"""The codes of an enum column are of the legacy value's own type: PostgreSQL reads them, and no two are equal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import psycopg
from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.compile import relations
from hybrid_sync.catalog.forms import EnumMap
from hybrid_sync.catalog.models import Entity, Source
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.postgres import Connection, Question, answer
from hybrid_sync.rounds import Rounds

_INTEGERS = {20, 21, 23}


def require_codes(connection: Connection, entity: Entity, source_name: str) -> None:
    """StructureMismatch for a code that the legacy type does not know, and for two that it takes for the same.

    What else is wrong with the source's tables and expressions is reported by whoever looks at all of them.
    """
    source = entity.sources[source_name]
    enums = enums_of(source)
    if not enums:
        return
    try:
        with connection.transaction():  # a savepoint where planning has begun a transaction
            kinds = answer(connection, _ask_types(source, enums))
    except psycopg.ProgrammingError:
        return
    _require_spelling(entity, enums, kinds)
    for name, column in enums.items():
        distinct = _distinct(connection, source, column, list(column.values))
        if distinct is None:
            wrong = [code for code in column.values if _distinct(connection, source, column, [code]) is None]
            raise _unknown(entity, name, ", ".join(wrong or column.values))
        _require_distinct(entity, name, column, distinct)


def codes_in_rounds(entity: Entity, source_name: str) -> Rounds[None]:
    """`require_codes` in rounds of questions; where a code is of another type, the error does not say which.

    The source has an enum column.
    """
    source = entity.sources[source_name]
    enums = enums_of(source)
    [kinds] = yield [_ask_types(source, enums)]
    _require_spelling(entity, enums, kinds)
    found = yield [_ask_distinct(source, column, list(column.values)) for column in enums.values()]
    for (name, column), distinct in zip(enums.items(), found, strict=True):
        _require_distinct(entity, name, column, distinct)


def enums_of(source: Source) -> dict[str, EnumMap]:
    """The columns of a source that the catalog fills by `enum:`."""
    return {name: column for name, column in source.columns.items() if isinstance(column, EnumMap)}


def _require_spelling(entity: Entity, enums: Mapping[str, EnumMap], kinds: Sequence[int]) -> None:
    for (name, column), kind in zip(enums.items(), kinds, strict=True):
        for code in column.values:
            # From PostgreSQL 16 on 0x1F and 1_000 are integers, before they are not: spelling decides neither.
            if kind in _INTEGERS and re.fullmatch(r"[+-]?\d+", code) is None:
                raise _unknown(entity, name, code)


def _require_distinct(entity: Entity, name: str, column: EnumMap, distinct: int) -> None:
    if distinct < len(column.values):
        raise StructureMismatch(
            f"{entity.entity}.{name}: two of the codes {', '.join(column.values)} are the same value in legacy's type.",
            "Keep one of the two, or put `::text` behind the expression to compare spellings.",
        )


def _ask_types(source: Source, enums: Mapping[str, EnumMap]) -> Question[list[int]]:
    """The OIDs of the expressions' types."""
    probes = sql.SQL(", ").join(sql.SQL("({})").format(raw(column.enum)) for column in enums.values())
    query = sql.SQL("select {} from {} limit 0").format(probes, relations(source))
    return Question(query, None, lambda found: [column.type_code for column in found.description or ()])


def _ask_distinct(source: Source, column: EnumMap, codes: Sequence[str]) -> Question[int]:
    """How many different values the codes are in the expression's type; no row is read."""
    arms = sql.SQL(" ").join(sql.SQL("union all select {}").format(sql.Literal(code)) for code in codes)
    query = sql.SQL("select count(distinct c) from (select ({}) as c from {} where false {}) x").format(
        raw(column.enum), relations(source), arms
    )
    return Question(query, None, lambda found: int(found.fetchall()[0][0]))


def _distinct(connection: Connection, source: Source, column: EnumMap, codes: Sequence[str]) -> int | None:
    """How many different values the codes are in the column's type; None if one of them is no value of it."""
    try:
        with connection.transaction():
            return answer(connection, _ask_distinct(source, column, codes))
    except psycopg.errors.DataError:
        return None


def _unknown(entity: Entity, name: str, code: str) -> StructureMismatch:
    return StructureMismatch(
        f"{entity.entity}.{name}: legacy's type has no value that is written {code}.",
        "Write the code as legacy's type shows it, or put `::text` behind the expression.",
    )

"""What a catalog file may write for a column: SQL, or one of the forms that are checked row by row."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Discriminator, Field, Tag

from hybrid_sync.catalog.grammar import RowExpression, Strict, Word


class Sql(Strict):
    """Any SQL expression over the source's tables; its type must fit the target column exactly."""

    sql: RowExpression


class Cast(Strict):
    """An expression cast to the target column's type; a row whose value does not come back as it was is failed."""

    cast: RowExpression


class Constant(Strict):
    """The same value in every row: the text as it is spelled, read by the target column's type; null is NULL."""

    constant: Word | None


class EnumMap(Strict):
    """A legacy code mapped to a word; a code that is not listed makes the row a failed record.

    A code is spelled as it stands in the file and compared in the type of the legacy value: `010` is 10 for an
    integer, and a text of three characters for a text.
    """

    enum: RowExpression
    values: Annotated[dict[Word, Word], Field(min_length=1)]


class Json(Strict):
    """Legacy text that must be strict JSON; anything else makes the row a failed record."""

    json_text: Annotated[RowExpression, Field(alias="json")]


class Lower(Strict):
    """Text in lower case."""

    lower: RowExpression


class JsonObject(Strict):
    """A jsonb object built from named expressions, for `metadata`."""

    object: Annotated[dict[Word, RowExpression], Field(min_length=1)]


_KINDS: dict[str, type[Strict]] = {
    "sql": Sql,
    "cast": Cast,
    "constant": Constant,
    "enum": EnumMap,
    "json": Json,
    "lower": Lower,
    "object": JsonObject,
}


def _kind_of(value: object) -> str | None:
    if isinstance(value, str):
        return "sql"
    if isinstance(value, dict):
        for kind in _KINDS:
            if kind in value:
                return kind
    for kind, model in _KINDS.items():
        if type(value) is model:
            return kind
    return None  # the loader tells which forms there are


Column = Annotated[
    Annotated[Sql, BeforeValidator(lambda v: {"sql": v} if isinstance(v, str) else v), Tag("sql")]
    | Annotated[Cast, Tag("cast")]
    | Annotated[Constant, Tag("constant")]
    | Annotated[EnumMap, Tag("enum")]
    | Annotated[Json, Tag("json")]
    | Annotated[Lower, Tag("lower")]
    | Annotated[JsonObject, Tag("object")],
    Discriminator(_kind_of),
]

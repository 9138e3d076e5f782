"""The catalog's grammar: names, expressions, and the phrases that say which tables a row is read from."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from hybrid_sync.catalog import names
from hybrid_sync.catalog.document import Text
from hybrid_sync.catalog.expressions import check_one_per_row, check_single, check_steady

NAME = r"^[a-z_][a-z0-9_]*$"
_TABLE = rf"(?P<table>{names.RELATION})\s+(?:(?i:as)\s+)?(?P<alias>{names.IDENTIFIER})"
_FROM = re.compile(_TABLE)
_JOIN = re.compile(
    rf"(?P<kind>(?i:left\s+(?:outer\s+)?join|(?:inner\s+)?join))\s+{_TABLE}"
    r"\s+(?i:on)\b\s*(?P<on>.+)",
    re.DOTALL,
)
_WATCH = re.compile(rf"{_TABLE}\s+(?i:on)\b\s*(?P<on>.+)", re.DOTALL)


def _plain(value: object) -> object:
    """A text without what the file's reader knew of it; Python's own values as the text that a file would hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else value


def _identifier(value: object) -> object:
    if not isinstance(value, str):
        return value
    # YAML took the double quotes off a name that was written as SQL writes it.
    if isinstance(value, Text) and value.quotes == '"' and '"' not in value and re.fullmatch(NAME, value) is None:
        return names.identifier(f'"{value}"')
    return names.identifier(value)


def _relation(value: object) -> object:
    if not isinstance(value, str):
        return value
    if isinstance(value, Text) and value.quotes == '"' and '"' not in value and "." not in value:
        value = f'"{value}"'
    return names.relation_text(value)


def _single(text: str) -> str:
    check_single(text)
    return text.strip()


def _steady(text: str) -> str:
    check_one_per_row(text)
    check_steady(text)
    return text


def _condition(text: str) -> str:
    check_one_per_row(text)
    check_steady(text, moments=True)
    return text


Word = Annotated[str, BeforeValidator(_plain)]
"""A text as it is spelled."""
Name = Annotated[str, Field(pattern=NAME)]
"""What we call a thing ourselves: an entity, a source, a reason."""
Identifier = Annotated[str, BeforeValidator(_identifier)]
"""A column or an alias, as its bare name."""
Relation = Annotated[str, BeforeValidator(_relation)]
"""A table as SQL text, which `names.relation_parts` splits."""
Expression = Annotated[str, BeforeValidator(_plain), Field(min_length=1), AfterValidator(_single)]
RowExpression = Annotated[Expression, AfterValidator(_steady)]
"""The row's own value: one, and the same as long as the row does not change."""
Condition = Annotated[Expression, AfterValidator(_condition)]
"""Of one row; it may ask what time it is."""


def _truth(value: object) -> object:
    if isinstance(value, str):
        if (isinstance(value, Text) and value.quotes) or value.lower() not in ("true", "false"):
            raise ValueError("write true or false")
        return value.lower() == "true"
    return value


def _number(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"\d{1,15}(\.\d{1,15})?", value) is None:
        raise ValueError("write a number in decimal digits, such as 5000")
    return value


Truth = Annotated[bool, BeforeValidator(_truth)]
Whole = Annotated[int, BeforeValidator(_number)]
Share = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1)]


def _schemas(value: object) -> object:
    """`public, extensions` as well as a list; pg_temp comes last, so that no temporary object stands before others."""
    names = [part.strip().strip('"') for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        return value
    if "$user" in names:
        raise ValueError("name the schemas: $user is another one for each role")
    return (*(name for name in names if name != "pg_temp"), "pg_temp")


SearchPath = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=63)], ...], BeforeValidator(_schemas), Field(min_length=2)
]


class Strict(BaseModel):
    """Frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, ignored_types=(cached_property,))


class From(Strict):
    """The base table of a source: `dispatch_payment p`."""

    table: Relation
    alias: Identifier


class Join(Strict):
    """A table joined to the base: `left join dispatch_office o on o.id = p.office_id`."""

    kind: Literal["left join", "join"]
    table: Relation
    alias: Identifier
    on: Condition


class Watch(Strict):
    """Rows of another (or the same) table whose change also changes ours: `auth_user_groups g on g.user_id = u.id`.

    Needed where a column is computed over rows that are not joined one to one: an aggregate, a neighbour.
    """

    table: Relation
    alias: Identifier
    on: Condition


def _parsed(pattern: re.Pattern[str], example: str) -> BeforeValidator:
    def parse(value: object) -> object:
        if not isinstance(value, str):
            return value
        match = pattern.fullmatch(value.strip())
        if match is None:
            raise ValueError(_phrase_advice(value, example))
        found = match.groupdict()
        if "kind" in found:
            found["kind"] = "left join" if found["kind"].lower().startswith("left") else "join"
        return found

    return BeforeValidator(parse)


def _phrase_advice(text: str, example: str) -> str:
    words = " ".join(text.lower().split())
    if example.startswith("left") and re.match(r"(right|full|cross|natural)\b", words):
        return f"only `left join` and `join` keep one row per legacy row: write it as: {example}"
    if example.startswith("left") and " using " in words.replace("(", " "):
        return f"write the condition with `on`, as in: {example}"
    if not example.startswith("left") and re.search(r"\b(left|inner|right|full|cross)?\s*join\b", words):
        return f"write each join in a line of its own under `joins:`, and here: {example}"
    if re.search("[A-Z]", text):
        return f'write it as: {example}; a name with capitals stands in double quotes, as in SQL: "Order Items" oi'
    return f"write it as: {example}"


FromText = Annotated[From, _parsed(_FROM, "dispatch_payment p")]
JoinText = Annotated[Join, _parsed(_JOIN, "left join dispatch_office o on o.id = p.office_id")]
WatchText = Annotated[Watch, _parsed(_WATCH, "auth_user_groups g on g.user_id = u.id")]

"""The catalog's grammar: names, expressions, and the phrases that say which tables a row is read from."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

NAME = r"^[a-z_][a-z0-9_]*$"
RELATION = r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$"
_FROM = re.compile(r"^(?P<table>[a-z_][\w.]*)\s+(?:as\s+)?(?P<alias>[a-z_]\w*)$", re.IGNORECASE)
_JOIN = re.compile(
    r"^(?P<kind>left\s+join|join)\s+(?P<table>[a-z_][\w.]*)\s+(?:as\s+)?(?P<alias>[a-z_]\w*)\s+on\s+(?P<on>.+)$",
    re.IGNORECASE | re.DOTALL,
)
_WATCH = re.compile(
    r"^(?P<table>[a-z_][\w.]*)\s+(?:as\s+)?(?P<alias>[a-z_]\w*)\s+on\s+(?P<on>.+)$", re.IGNORECASE | re.DOTALL
)

Name = Annotated[str, Field(pattern=NAME)]
Relation = Annotated[str, Field(pattern=RELATION)]
Expression = Annotated[str, Field(min_length=1)]


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

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))


class From(Strict):
    """The base table of a source: `dispatch_payment p`."""

    table: Relation
    alias: Name


class Join(Strict):
    """A table joined to the base: `left join dispatch_office o on o.id = p.office_id`."""

    kind: Literal["left join", "join"]
    table: Relation
    alias: Name
    on: Expression


class Watch(Strict):
    """Rows of another (or the same) table whose change also changes ours: `auth_user_groups g on g.user_id = u.id`.

    Needed where a column is computed over rows that are not joined one to one: an aggregate, a neighbour.
    """

    table: Relation
    alias: Name
    on: Expression


def _parsed(pattern: re.Pattern[str], example: str) -> BeforeValidator:
    def parse(value: object) -> object:
        if not isinstance(value, str):
            return value
        match = pattern.match(value.strip())
        if match is None:
            raise ValueError(f"write it as: {example}")
        found = match.groupdict()
        if "kind" in found:
            found["kind"] = " ".join(found["kind"].lower().split())
        return found

    return BeforeValidator(parse)


FromText = Annotated[From, _parsed(_FROM, "dispatch_payment p")]
JoinText = Annotated[Join, _parsed(_JOIN, "left join dispatch_office o on o.id = p.office_id")]
WatchText = Annotated[Watch, _parsed(_WATCH, "auth_user_groups g on g.user_id = u.id")]

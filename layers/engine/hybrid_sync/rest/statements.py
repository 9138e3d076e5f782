"""Statements as texts for the REST API, their parameters as literals."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import sql

from hybrid_sync.dataclass import dataclass
from hybrid_sync.session import Parameters, doubled

_PLACE = re.compile(rb"%(?:%|\((\w+)\)[sbt]|[sbt])")
_OPAQUE = re.compile(r"""--[^\n]*|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*\"""", re.DOTALL)
_FIRST_WORD = re.compile(r"\s*([a-z]+)", re.IGNORECASE)
_PART = re.compile(r"[()]|\b(?:select|values|table|insert|update|delete|merge|returning)\b", re.IGNORECASE)
_READING = ("select", "values", "table", "show", "explain")
DEFAULT_PATH = b"set local search_path to default"
# The session is PostgREST's, whose default is not the worker's: that was given to its role (see `install`).
_WORKERS_PATH = b"""
select pg_catalog.set_config('search_path', coalesce(
  (select pg_catalog.substr(c, 13) from pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c
   where s.setrole = (select r.oid from pg_catalog.pg_roles r where r.rolname = current_user)
     and s.setdatabase in (0, (select d.oid from pg_catalog.pg_database d where d.datname = current_database()))
     and c like 'search_path=%' order by s.setdatabase desc limit 1),
  (select p.reset_val from pg_catalog.pg_settings p where p.name = 'search_path')), true)
"""


@dataclass(frozen=True)
class Said:
    """A statement, and whether it answers rows."""

    text: str
    answers: bool

    @classmethod
    def of(cls, query: Any, parameters: Parameters) -> Said:
        """As psycopg reads query and parameters."""
        text = _bytes(query if parameters is None else doubled(query))
        if parameters is not None:
            text = _bound(text, parameters)
        if text == DEFAULT_PATH:
            text = _WORKERS_PATH
        said = text.decode()
        return cls(said, answers_rows(said))

    def as_json(self) -> list[Any]:
        return [self.text, self.answers]


def answers_rows(text: str) -> bool:
    """Whether a statement answers rows, or only how many it has met."""
    first = _FIRST_WORD.match(text)
    word = first[1].lower() if first else ""
    if word in ("with", "insert", "update", "delete", "merge"):
        outside = _outside_parentheses(_OPAQUE.sub("''", text))
        return outside[0] in _READING or "returning" in outside
    return word in _READING


def _outside_parentheses(text: str) -> list[str]:
    """The verbs of a statement itself, and not of those within it."""
    found: list[str] = []
    depth = 0
    for part in _PART.findall(text):
        if part in "()":
            depth += 1 if part == "(" else -1
        elif depth == 0:
            found.append(part.lower())
    return found


def _bytes(query: Any) -> bytes:
    if isinstance(query, sql.Composable):
        return query.as_bytes(None)
    return query if isinstance(query, bytes) else str(query).encode()


def _bound(text: bytes, parameters: Mapping[str, Any] | Sequence[Any]) -> bytes:
    in_order = iter(() if isinstance(parameters, Mapping) else parameters)

    def literal(found: re.Match[bytes]) -> bytes:
        if found[0] == b"%%":
            return b"%"
        value = next(in_order) if isinstance(parameters, Sequence) else parameters[found[1].decode()]
        return sql.Literal(value).as_bytes(None)

    return _PLACE.sub(literal, text)


# --- the beginning of a transaction ----------------------------------------------------------------------------------


def is_look(begin: bytes) -> bool:
    """Whether a transaction sees one snapshot all along."""
    return b"repeatable read" in begin


def settings_of(opening: Sequence[bytes]) -> list[Said]:
    """What `opening.opening` says, but for BEGIN, which PostgREST says itself."""
    begin, *settings = opening
    said = [Said.of(statement, None) for statement in settings]
    return [*said, Said("set local transaction_read_only = on", False)] if b" read only" in begin else said

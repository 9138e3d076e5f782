"""Offline: every expression is parsed, so that a slip is named by file and line before any database is near.

The parser knows most of PostgreSQL, not all of it.  What it cannot read although an ordinary operator in the place of
an unusual one would do is reported as not judged, and refused by nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import pairwise

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from hybrid_sync.catalog.expressions import Token, tokens
from hybrid_sync.catalog.load import Loaded
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.written import Written, written
from hybrid_sync_cli.catalog_check.findings import Finding

_ORDINARY = {"+", "-", "*", "/", "%", "^", "=", "<", ">", "<=", ">=", "<>", "!=", "||", "::", "->", "->>", "=>", ":="}
_GAPS = {("(", ","), (",", ")"), (",", ","), (",", "]"), ("[", ",")}


def findings(loaded: Loaded) -> Iterator[Finding]:
    """One for each expression that is not one, or names an alias that its source does not have."""
    for name, entity in loaded.catalog.entities.items():
        for one in written(entity):
            place = loaded.place(name, one.path)
            yield from (Finding(place, text, doubtful) for text, doubtful in _judged(entity, one))


def _judged(entity: Entity, one: Written) -> Iterator[tuple[str, bool]]:
    """Sentences about one expression, and whether each is only a doubt."""
    tree = _parsed(one.text)
    if tree is None:
        if _parsed(_in_ordinary_words(tokens(one.text))) is None:
            yield "this is not an SQL expression: correct it.", False
        else:
            yield "this may be PostgreSQL's alone: check it with --legacy-dsn and --target-dsn.", True
        return
    outer = [node for node in tree.walk() if node.find_ancestor(exp.Select) is tree]
    if any(isinstance(node, exp.Alias) for node in outer):
        yield "an operator or a comma is missing here, or an `as` too many: write one expression.", False
    elif any(isinstance(node, exp.Star) and not node.find_ancestor(exp.Func) for node in outer):
        yield "a * stands for many columns: name the one that is meant.", False
    elif _has_gap(tokens(one.text)) or any(isinstance(n, exp.In) and not _complete(n) for n in tree.walk()):
        yield "something is missing between parentheses or commas: write it.", False
    else:
        yield from ((text, False) for text in _aliases(entity, one, outer))


def _parsed(text: str) -> exp.Select | None:
    logger = logging.getLogger("sqlglot")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        tree = sqlglot.parse_one(f"SELECT ({text})", dialect="postgres")
    except (SqlglotError, RecursionError):
        return None
    finally:
        logger.setLevel(level)
    return tree if isinstance(tree, exp.Select) else None


def _in_ordinary_words(found: list[Token]) -> str:
    """The same expression with `+` in the place of every unusual operator."""
    words: list[str] = []
    for token in found:
        unusual = token.kind == "operator" and token.text not in _ORDINARY
        words.append("+" if unusual else token.text)
    return " ".join(words).replace(" . ", ".").replace("at local", "at time zone 'UTC'")


def _has_gap(found: list[Token]) -> bool:
    return any((a.text, b.text) in _GAPS for a, b in pairwise(found))


def _complete(node: exp.In) -> bool:
    return bool(node.expressions or node.args.get("query") or node.args.get("unnest") or node.args.get("field"))


def _aliases(entity: Entity, one: Written, outer: list[exp.Expr]) -> Iterator[str]:
    if one.use == "mark":
        return
    known = ["t"] if one.source is None else list(entity.sources[one.source].aliases)
    if one.use == "watch" and one.source is not None:
        known += [watch.alias for watch in entity.sources[one.source].watch]
    for column in outer:
        if isinstance(column, exp.Column) and column.table and not column.args.get("db"):
            table = column.args["table"]
            name = table.name if table.args.get("quoted") else table.name.lower()
            if name not in known:
                yield f"there is no alias {name} here: write one of {', '.join(known)}."

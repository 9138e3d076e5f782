"""Names as SQL writes them: bare in lower case, or in double quotes exactly as they are; the one parser of them.

Inside, a column or an alias is its bare name, and a relation is SQL text (`sales."Order Items"`), which
`relation_parts` splits wherever it becomes an identifier.
"""

from __future__ import annotations

import re
from functools import lru_cache

# By what is excluded, since `re` builds a table of 65,536 entries for each range beyond ASCII.
_BARE = r"[^\x00-^`{-\x7f][^\x00-#%-/:-^`{-\x7f]*"
_QUOTED = r'"(?:[^"]|"")+"'
IDENTIFIER = rf"(?:{_QUOTED}|{_BARE})"
RELATION = rf"{IDENTIFIER}(?:\.{IDENTIFIER})?"
_ONE = re.compile(IDENTIFIER)
_WHOLE_BARE = re.compile(_BARE)
_WHOLE_RELATION = re.compile(RELATION)
_LONGEST = 63
"""Bytes of a PostgreSQL name; a longer one would be cut without a word."""


def identifier(text: str) -> str:
    """The bare name that `text` stands for; ValueError says how to write it."""
    found = _ONE.fullmatch(text)
    if found is None:
        raise ValueError(_advice(text))
    return _checked(_bare(text))


def relation_text(text: str) -> str:
    """`table` or `schema.table` in its shortest SQL spelling; ValueError says how to write it."""
    if _WHOLE_RELATION.fullmatch(text) is None:
        raise ValueError(_advice(text))
    return ".".join(quoted(_checked(_bare(part))) for part in _ONE.findall(text))


@lru_cache(maxsize=1024)
def relation_parts(relation: str) -> tuple[str, ...]:
    """(table,) or (schema, table), as bare names; ValueError for a text that is no relation."""
    if _WHOLE_RELATION.fullmatch(relation) is None:
        raise ValueError(_advice(relation))
    return tuple(_bare(part) for part in _ONE.findall(relation))


def quoted(name: str) -> str:
    """A bare name as SQL text, in quotes only where SQL would read it differently."""
    if _WHOLE_BARE.fullmatch(name):
        return name
    return '"' + name.replace('"', '""') + '"'


def _bare(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


def _checked(name: str) -> str:
    if len(name.encode()) > _LONGEST:
        raise ValueError(f"a name has at most {_LONGEST} bytes in PostgreSQL: shorten it")
    if any(ord(c) < 32 or ord(c) == 127 for c in name):
        raise ValueError("a name holds no control characters: remove them")
    return name


def _advice(text: str) -> str:
    if re.fullmatch(r"[\w$ .-]{1,60}", text) and "." not in text:
        return (
            "write lower-case letters, digits and underscores, or the exact name in double quotes inside single"
            f" ones, as in '\"{text}\"'"
        )
    return (
        "write lower-case letters, digits and underscores, or a name in double quotes, as in SQL:"
        ' `schema.table`, `"Order Items"`'
    )

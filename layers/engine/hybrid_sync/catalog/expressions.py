"""One SQL expression and nothing more, judged by its tokens: what it must not hold is refused where it stands.

The catalog splices expressions into its own statements.  So each must end where it began: no comment that swallows
what follows, no statement behind a semicolon, every parenthesis closed.  And a value must be the row's own: the same
in every read of an unchanged row, and one per row.  Whether the names in it exist is for PostgreSQL to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKENS = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<comment>--[^\n]*|/\*)
    | (?P<string>(?:\b[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'))
    | (?P<unended>[eE]')
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<dollar>\$(?:[^\x00-@[-^`{-\x7f][^\x00-/:-@[-^`{-\x7f]*)?\$)
    | (?P<parameter>\$\d+)
    | (?P<number>(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)
    | (?P<word>[^\x00-@[-^`{-\x7f][^\x00-#%-/:-@[-^`{-\x7f]*)
    | (?P<operator>[-+*/<>=~!@\#%^&|`?]+|:=|::|:)
    | (?P<mark>[()\[\],;.])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_CLOSES = {")": "(", "]": "["}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Another value in every call: no row would ever be unchanged.
VOLATILE = _words(
    """
    random random_normal clock_timestamp timeofday gen_random_uuid uuid_generate_v1 uuid_generate_v4 uuidv4 uuidv7
    nextval currval lastval setval txid_current pg_current_xact_id pg_current_snapshot pg_sleep pg_backend_pid
    """
)
# Another value at another time, or for another role.
MOMENTARY = _words("now statement_timestamp transaction_timestamp")
_MOMENTARY_WORDS = _words(
    """
    current_timestamp current_date current_time localtime localtimestamp
    current_user session_user user current_role
    """
)
AGGREGATES = _words(
    """
    count sum avg min max array_agg string_agg json_agg jsonb_agg json_object_agg jsonb_object_agg bool_and bool_or
    every bit_and bit_or bit_xor xmlagg range_agg range_intersect_agg stddev stddev_pop stddev_samp variance var_pop
    var_samp corr any_value mode percentile_cont percentile_disc row_number rank dense_rank percent_rank cume_dist
    ntile lag lead first_value last_value nth_value
    """
)
SETS = _words(
    """
    unnest generate_series generate_subscripts json_array_elements json_array_elements_text jsonb_array_elements
    jsonb_array_elements_text json_each json_each_text jsonb_each jsonb_each_text json_object_keys jsonb_object_keys
    regexp_matches regexp_split_to_table string_to_table jsonb_path_query json_to_recordset jsonb_to_recordset
    """
)


class Token(NamedTuple):
    kind: str
    text: str


def tokens(text: str) -> list[Token]:
    """The SQL tokens of `text` without white space; ValueError for what never ends."""
    return list(_scan(text))


def _scan(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        found = _TOKENS.match(text, at)
        assert found is not None and found.lastgroup is not None, "the last alternative takes any character"
        kind, at = found.lastgroup, found.end()
        if kind == "dollar":
            end = text.find(found.group(), at)
            if end < 0:
                raise ValueError(f"the text that begins with {found.group()} never ends: close it")
            kind, at = "string", end + len(found.group())
        elif kind == "unended" or (kind == "other" and found.group() in "'\""):
            raise ValueError(f"a {found.group()[-1]} is never closed: close it")
        if kind != "space":
            yield Token(kind, text[found.start() : at])


def check_single(text: str) -> None:
    """ValueError unless `text` is one expression that ends where it began."""
    found = tokens(text)
    if not found:
        raise ValueError("an expression is missing: write one")
    open_marks: list[str] = []
    for token in found:
        if token.kind == "comment":
            raise ValueError("a comment would swallow what follows it: write it behind a # of the YAML file")
        if token.kind == "parameter":
            raise ValueError(f"{token.text} is a parameter, and nothing gives it a value: write the value")
        if token.text == ";" and token.kind == "mark":
            raise ValueError("a semicolon ends a statement: write one expression")
        if token.kind == "mark" and token.text in "([":
            open_marks.append(token.text)
        elif token.kind == "mark" and token.text in ")]":
            if not open_marks or open_marks.pop() != _CLOSES[token.text]:
                raise ValueError(f"a {token.text} closes nothing: remove it, or open it before")
        elif token.kind == "mark" and token.text == "," and not open_marks:
            raise ValueError("a comma separates two expressions: write one")
    if open_marks:
        raise ValueError(f"a {open_marks[-1]} is never closed: close it")


def check_one_per_row(text: str) -> None:
    """ValueError for an aggregate, a window or a set outside a subselect: they change how many rows there are."""
    for name, inside in _calls(text):
        if inside:
            continue
        if name in AGGREGATES:
            raise ValueError(f"{name}() looks at many rows: write it in a subselect of its own")
        if name in SETS:
            raise ValueError(f"{name}() gives several rows: write it in a subselect that gives one value")
        if name == "over":
            raise ValueError("a window looks at many rows: write it in a subselect")


def check_steady(text: str, *, moments: bool = False) -> None:
    """ValueError for a function whose answer changes while the row does not; `moments` lets the time of now pass."""
    found = tokens(text)
    for i, token in enumerate(found):
        if token.kind != "word" or not _built_in(found, i):
            continue
        name = token.text.lower()
        called = i + 1 < len(found) and found[i + 1].text == "("
        qualifies = i + 1 < len(found) and found[i + 1].text == "."
        moment = (called and name in MOMENTARY) or (name in _MOMENTARY_WORDS and not qualifies)
        if (called and name in VOLATILE) or (moment and not moments):
            raise ValueError(f"{name} differs from read to read, so the row would never be equal: take it out")


def called(text: str) -> set[str]:
    """Names of the functions that the expression itself calls, outside of subselects."""
    return {name for name, inside in _calls(text) if not inside}


def _built_in(found: list[Token], i: int) -> bool:
    """Whether the word may name a function of PostgreSQL: it bears no qualifier, or PostgreSQL's own."""
    return i == 0 or found[i - 1].text != "." or (i >= 2 and found[i - 2].text.lower() == "pg_catalog")


def _calls(text: str) -> Iterator[tuple[str, bool]]:
    """Each word before a parenthesis, and whether it stands in a subselect."""
    found = tokens(text)
    subselects = [_is_query(found, 0)]
    for i, token in enumerate(found):
        if token.text in ("(", "[") and token.kind == "mark":
            subselects.append(subselects[-1] or _is_query(found, i + 1))
        elif token.text in (")", "]") and token.kind == "mark" and len(subselects) > 1:
            subselects.pop()
        elif token.kind == "word" and i + 1 < len(found) and found[i + 1].text == "(" and _built_in(found, i):
            yield token.text.lower(), subselects[-1]


def _is_query(found: list[Token], i: int) -> bool:
    return i < len(found) and found[i].kind == "word" and found[i].text.lower() in ("select", "with", "values")
